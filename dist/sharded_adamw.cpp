#include "dist/sharded_adamw.h"

#include <algorithm>

#include "dist/tensor_collectives.h"
#include "tensor/check.h"

namespace vila::dist {

namespace {

constexpr int64_t kLastStage = 3;

// Where a piece of a bucket meets a slice of it, in values of the bucket.
Slice meet(const Bucket::Piece& piece, const Slice& slice) {
    return {std::max(piece.begin, slice.begin), std::min(piece.begin + piece.count, slice.end)};
}

}  // namespace

ShardedAdamw::ShardedAdamw(Collectives& collectives, const std::vector<ShardedGroup>& groups,
                           const AdamwUpdate& settings, int64_t stage, int64_t bucket_values,
                           bool overlap)
    : collectives_(collectives),
      groups_(groups),
      settings_(settings),
      divided_(stage > 0),
      blocks_divided_(stage == kLastStage && collectives.ranks() > 1) {
    VILA_CHECK(stage >= 0 && stage <= kLastStage, "[zero] there is no stage ", stage);
    std::vector<nn::Parameter*> parameters;
    for (const ShardedGroup& group : groups_)
        for (nn::Parameter* parameter : group.parameters) {
            if (!parameter->trainable()) continue;
            VILA_CHECK(parameter->variable.dtype() != DType::F64, "[zero] parameter ",
                       parameter->name, " is f64: the optimizer keeps f32 masters");
            members_.push_back({&group, parameter});
            parameters.push_back(parameter);
        }
    VILA_CHECK(!parameters.empty(), "[zero] no parameter learns");
    Device& device = parameters.front()->variable.device();
    if (bucket_values == 0) bucket_values = default_bucket_values(parameters);
    plan_ = plan_buckets(parameters, collectives_.ranks(), bucket_values, blocks_divided_);
    for (size_t i = 0; i < plan_.buckets.size(); ++i) {
        if (is_divided_block(i))
            VILA_CHECK(blocks_.emplace(plan_.buckets[i].block, i).second, "[zero] block ",
                       plan_.buckets[i].block, " has parameters of several dtypes");
        move_in(i);
    }
    BlockWeights blocks;
    if (blocks_divided_)
        blocks = {
            [this](size_t bucket, bool background) { return gather_block(bucket, background); },
            [this](size_t bucket, const Tensor& weights) { place_values(bucket, weights); }};
    reducer_ =
        std::make_unique<GradientReducer>(collectives_, plan_, parameters, device, blocks, overlap);
}

void ShardedAdamw::move_in(size_t index) {
    const Bucket& bucket = plan_.buckets[index];
    Device& device = members_[bucket.pieces.front().parameter].parameter->variable.device();
    Shard& shard = shards_.emplace_back();
    shard.weights = Tensor::zeros(device, {bucket.size}, bucket.dtype);
    for (const Bucket::Piece& piece : bucket.pieces) {
        nn::Parameter& parameter = *members_[piece.parameter].parameter;
        const Tensor place =
            shard.weights.slice(0, piece.begin, piece.begin + piece.count).reshape(parameter.shape);
        place.copy_from(parameter.variable.value());
        parameter.variable.set_value(place);
    }
    shard.kept = divided_ ? plan_.slice_of(bucket, collectives_.rank()) : Slice{0, bucket.size};
    // f32 weights are their own masters.
    shard.master = shard.weights.slice(0, shard.kept.begin, shard.kept.end).to(DType::F32);
    shard.exp_avg = Tensor::zeros(device, {shard.kept.size()}, DType::F32);
    shard.exp_avg_sq = Tensor::zeros(device, {shard.kept.size()}, DType::F32);
    if (!is_divided_block(index)) return;
    shard.master = shard.master.clone();  // not a view of all weights, which go now
    shard.weights = Tensor();
    place_values(index, Tensor());
}

void ShardedAdamw::place_values(size_t index, const Tensor& weights) {
    for (const Bucket::Piece& piece : plan_.buckets[index].pieces) {
        nn::Parameter& parameter = *members_[piece.parameter].parameter;
        parameter.variable.set_value(
            weights.defined()
                ? weights.slice(0, piece.begin, piece.begin + piece.count).reshape(parameter.shape)
                : Tensor());
    }
}

void ShardedAdamw::enter(const std::string& block) {
    const auto found = blocks_.find(block);
    if (found != blocks_.end()) reducer_->need(found->second);
}

void ShardedAdamw::leave(const std::string& block) {
    const auto found = blocks_.find(block);
    if (found != blocks_.end()) release_block(found->second);
}

BlockWeights::Gathering ShardedAdamw::gather_block(size_t index, bool in_background) {
    const Bucket& bucket = plan_.buckets[index];
    const Tensor mine = shards_[index].master.to(bucket.dtype);
    const Tensor weights = Tensor::empty(mine.device(), {bucket.size}, bucket.dtype);
    if (in_background)
        begin_all_gather(collectives_, mine, weights);
    else
        all_gather(collectives_, mine, weights);
    return {mine, weights};
}

void ShardedAdamw::release_block(size_t index) {
    place_values(index, Tensor());
}

void ShardedAdamw::gather_blocks(bool wanted) {
    for (const auto& [block, bucket] : blocks_) {
        const Tensor weights = gather_block(bucket, false).weights;
        if (wanted) place_values(bucket, weights);
    }
}

void ShardedAdamw::release_blocks() {
    for (const auto& [block, bucket] : blocks_) release_block(bucket);
}

void ShardedAdamw::step(double schedule, double grad_scale) {
    ++steps_done_;
    for (size_t i = 0; i < plan_.buckets.size(); ++i) {
        Tensor gradient = reducer_->sum(i);
        if (!divided_ && collectives_.ranks() > 1) {
            const Tensor all =
                Tensor::empty(gradient.device(), {plan_.buckets[i].size}, gradient.dtype());
            all_gather(collectives_, gradient, all);
            gradient = all;
        }
        update(i, gradient, schedule, grad_scale);
        share_weights(i);
    }
}

void ShardedAdamw::update(size_t index, const Tensor& gradient, double schedule,
                          double grad_scale) {
    const Shard& shard = shards_[index];
    std::vector<AdamwUpdate> updates;
    for (const Bucket::Piece& piece : plan_.buckets[index].pieces) {
        const Slice mine = meet(piece, shard.kept);
        if (mine.size() <= 0) continue;
        const Member& member = members_[piece.parameter];
        const auto kept = [&](const Tensor& tensor) {
            return tensor.slice(0, mine.begin - shard.kept.begin, mine.end - shard.kept.begin);
        };
        AdamwUpdate& args = updates.emplace_back(settings_);
        args.gradient = kept(gradient);
        args.master = kept(shard.master);
        args.first_moment = kept(shard.exp_avg);
        args.second_moment = kept(shard.exp_avg_sq);
        args.parameter =
            shard.weights.defined() ? shard.weights.slice(0, mine.begin, mine.end) : args.master;
        args.lr = member.group->lr * schedule;
        args.weight_decay = member.parameter->decay ? settings_.weight_decay : 0.0;
        args.grad_scale = grad_scale;
        args.step = steps_done_;
    }
    if (updates.empty()) return;
    call(shard.master.device(), "adamw", &Kernels::adamw, {.tensors = updates});
}

void ShardedAdamw::share_weights(size_t index) {
    if (!divided_ || collectives_.ranks() == 1 || is_divided_block(index)) return;
    const Shard& shard = shards_[index];
    const Tensor mine = shard.weights.slice(0, shard.kept.begin, shard.kept.end).clone();
    all_gather(collectives_, mine, shard.weights);
}

void ShardedAdamw::add_pieces(size_t index, const Slice& slice,
                              std::vector<StatePiece>& pieces) const {
    const Shard& shard = shards_[index];
    for (const Bucket::Piece& piece : plan_.buckets[index].pieces) {
        const Slice run = meet(piece, slice);
        if (run.size() <= 0) continue;
        const Member& member = members_[piece.parameter];
        const auto add = [&](const char* kind, const Tensor& tensor) {
            pieces.push_back({.name = member.group->name + kind + member.parameter->name,
                              .shape = member.parameter->shape,
                              .begin = run.begin - piece.begin,
                              .values = tensor.slice(0, run.begin - shard.kept.begin,
                                                     run.end - shard.kept.begin)});
        };
        add("/master/", shard.master);
        add("/exp_avg/", shard.exp_avg);
        add("/exp_avg_sq/", shard.exp_avg_sq);
    }
}

std::vector<StatePiece> ShardedAdamw::state() const {
    std::vector<StatePiece> pieces;
    for (size_t i = 0; i < plan_.buckets.size(); ++i)
        add_pieces(i, plan_.slice_of(plan_.buckets[i], collectives_.rank()), pieces);
    return pieces;
}

void ShardedAdamw::restore(int64_t steps_done,
                           const std::function<void(const StatePiece& piece)>& read) {
    for (size_t i = 0; i < plan_.buckets.size(); ++i) {
        const Shard& shard = shards_[i];
        std::vector<StatePiece> pieces;
        add_pieces(i, shard.kept, pieces);
        for (const StatePiece& piece : pieces) read(piece);
        if (is_divided_block(i)) continue;
        const Tensor weights = shard.weights.slice(0, shard.kept.begin, shard.kept.end);
        if (weights.dtype() != DType::F32) weights.copy_from(shard.master);
        share_weights(i);
    }
    steps_done_ = steps_done;
}

}  // namespace vila::dist
