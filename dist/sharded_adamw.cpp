#include "dist/sharded_adamw.h"

#include <algorithm>

#include "dist/tensor_collectives.h"
#include "tensor/check.h"

namespace vila::dist {

namespace {

constexpr int64_t kLastStage = 3;

// Returns the part of a piece that lies in a slice of the bucket; size() <= 0 if there is none.
Slice intersect(const Bucket::Piece& piece, const Slice& slice) {
    return {std::max(piece.begin, slice.begin), std::min(piece.begin + piece.count, slice.end)};
}

}  // namespace

ShardedAdamw::ShardedAdamw(Collectives& collectives, const std::vector<ShardedGroup>& groups,
                           const AdamwOptions& options, int64_t stage, int64_t bucket_values,
                           bool overlap)
    : collectives_(collectives),
      groups_(groups),
      options_(options),
      shards_state_(stage > 0),
      shards_blocks_(stage == kLastStage && collectives.ranks() > 1) {
    VILA_CHECK(stage >= 0 && stage <= kLastStage, "[zero] stage ", stage, ": expected 0 to ",
               kLastStage);
    std::vector<nn::Parameter*> parameters;
    for (const ShardedGroup& group : groups_)
        for (nn::Parameter* parameter : group.parameters) {
            if (!parameter->trainable()) continue;
            VILA_CHECK(parameter->variable.dtype() != DType::F64, "[zero] parameter ",
                       parameter->name, " is f64: the optimizer keeps f32 masters");
            members_.push_back({&group, parameter});
            parameters.push_back(parameter);
        }
    VILA_CHECK(!parameters.empty(), "[zero] no parameter is trainable");
    Device& device = parameters.front()->variable.device();
    if (bucket_values == 0) bucket_values = default_bucket_values(parameters);
    plan_ = plan_buckets(parameters, collectives_.ranks(), bucket_values, shards_blocks_);
    for (size_t i = 0; i < plan_.buckets.size(); ++i) {
        if (is_sharded_block(i))
            VILA_CHECK(blocks_.emplace(plan_.buckets[i].block, i).second, "[zero] block ",
                       plan_.buckets[i].block, " has parameters of several dtypes");
        make_shard(i);
    }
    BlockWeights blocks;
    if (shards_blocks_)
        blocks = {
            [this](size_t bucket, bool background) { return gather_block(bucket, background); },
            [this](size_t bucket, const Tensor& weights) { bind_parameters(bucket, weights); }};
    reducer_ =
        std::make_unique<GradientReducer>(collectives_, plan_, parameters, device, blocks, overlap);
}

void ShardedAdamw::make_shard(size_t index) {
    const Bucket& bucket = plan_.buckets[index];
    Device& device = members_[bucket.pieces.front().parameter].parameter->variable.device();
    Shard& shard = shards_.emplace_back();
    shard.weights = Tensor::zeros(device, {bucket.size}, bucket.dtype);
    for (const Bucket::Piece& piece : bucket.pieces) {
        nn::Parameter& parameter = *members_[piece.parameter].parameter;
        const Tensor view =
            shard.weights.slice(0, piece.begin, piece.begin + piece.count).reshape(parameter.shape);
        view.copy_from(parameter.variable.value());
        parameter.variable.set_value(view);
    }
    shard.owned =
        shards_state_ ? plan_.slice_of(bucket, collectives_.rank()) : Slice{0, bucket.size};
    // An f32 master is a view of the weights.
    shard.master = shard.weights.slice(0, shard.owned.begin, shard.owned.end).to(DType::F32);
    shard.exp_avg = Tensor::zeros(device, {shard.owned.size()}, DType::F32);
    shard.exp_avg_sq = Tensor::zeros(device, {shard.owned.size()}, DType::F32);
    if (!is_sharded_block(index)) return;
    shard.master = shard.master.clone();  // a view would keep all weights in memory
    shard.weights = Tensor();
    bind_parameters(index, Tensor());
}

void ShardedAdamw::bind_parameters(size_t index, const Tensor& weights) {
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
    if (found != blocks_.end()) reducer_->acquire(found->second);
}

void ShardedAdamw::leave(const std::string& block) {
    const auto found = blocks_.find(block);
    if (found != blocks_.end()) release_block(found->second);
}

GatheredWeights ShardedAdamw::gather_block(size_t index, bool in_background) {
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
    bind_parameters(index, Tensor());
}

void ShardedAdamw::gather_blocks(bool wanted) {
    for (const auto& [block, bucket] : blocks_) {
        const Tensor weights = gather_block(bucket, false).weights;
        if (wanted) bind_parameters(bucket, weights);
    }
}

void ShardedAdamw::release_blocks() {
    for (const auto& [block, bucket] : blocks_) release_block(bucket);
}

void ShardedAdamw::step(double schedule, double grad_scale) {
    ++steps_done_;
    for (size_t i = 0; i < plan_.buckets.size(); ++i) {
        Tensor gradient = reducer_->sum(i);
        if (!shards_state_ && collectives_.ranks() > 1) {
            const Tensor all =
                Tensor::empty(gradient.device(), {plan_.buckets[i].size}, gradient.dtype());
            all_gather(collectives_, gradient, all);
            gradient = all;
        }
        update(i, gradient, schedule, grad_scale);
        all_gather_weights(i);
    }
}

void ShardedAdamw::update(size_t index, const Tensor& gradient, double schedule,
                          double grad_scale) {
    const Shard& shard = shards_[index];
    std::vector<AdamwUpdate> updates;
    for (const Bucket::Piece& piece : plan_.buckets[index].pieces) {
        const Slice mine = intersect(piece, shard.owned);
        if (mine.size() <= 0) continue;
        const Member& member = members_[piece.parameter];
        const auto owned = [&](const Tensor& tensor) {
            return tensor.slice(0, mine.begin - shard.owned.begin, mine.end - shard.owned.begin);
        };
        AdamwUpdate& args = updates.emplace_back(options_.update(member.parameter->decay));
        args.gradient = owned(gradient);
        args.master = owned(shard.master);
        args.first_moment = owned(shard.exp_avg);
        args.second_moment = owned(shard.exp_avg_sq);
        args.parameter =
            shard.weights.defined() ? shard.weights.slice(0, mine.begin, mine.end) : args.master;
        args.lr = member.group->lr * schedule;
        args.grad_scale = grad_scale;
        args.step = steps_done_;
    }
    if (updates.empty()) return;
    call(shard.master.device(), "adamw", &Kernels::adamw, {.tensors = updates});
}

void ShardedAdamw::all_gather_weights(size_t index) {
    if (!shards_state_ || collectives_.ranks() == 1 || is_sharded_block(index)) return;
    const Shard& shard = shards_[index];
    const Tensor mine = shard.weights.slice(0, shard.owned.begin, shard.owned.end).clone();
    all_gather(collectives_, mine, shard.weights);
}

void ShardedAdamw::add_pieces(size_t index, const Slice& slice,
                              std::vector<StatePiece>& pieces) const {
    const Shard& shard = shards_[index];
    for (const Bucket::Piece& piece : plan_.buckets[index].pieces) {
        const Slice run = intersect(piece, slice);
        if (run.size() <= 0) continue;
        const Member& member = members_[piece.parameter];
        const auto add = [&](const char* kind, const Tensor& tensor) {
            pieces.push_back({.name = member.group->name + kind + member.parameter->name,
                              .shape = member.parameter->shape,
                              .begin = run.begin - piece.begin,
                              .values = tensor.slice(0, run.begin - shard.owned.begin,
                                                     run.end - shard.owned.begin)});
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
        add_pieces(i, shard.owned, pieces);
        for (const StatePiece& piece : pieces) read(piece);
        if (is_sharded_block(i)) continue;
        const Tensor weights = shard.weights.slice(0, shard.owned.begin, shard.owned.end);
        if (weights.dtype() != DType::F32) weights.copy_from(shard.master);
        all_gather_weights(i);
    }
    steps_done_ = steps_done;
}

}  // namespace vila::dist
