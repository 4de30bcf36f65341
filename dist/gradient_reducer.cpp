#include "dist/gradient_reducer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dist/tensor_collectives.h"
#include "tensor/check.h"

namespace vila::dist {

GradientReducer::GradientReducer(Collectives& collectives, const BucketPlan& plan,
                                 std::vector<nn::Parameter*> parameters, Device& device,
                                 BlockWeights blocks, bool overlap)
    : collectives_(collectives),
      plan_(plan),
      parameters_(std::move(parameters)),
      blocks_(std::move(blocks)),
      overlap_(overlap && collectives.ranks() > 1) {
    VILA_ASSERT(plan_.ranks == collectives_.ranks() &&
                plan_.bucket_of.size() == parameters_.size());
    make_list();
    for (const Bucket& bucket : plan_.buckets) {
        sums_.push_back(Tensor::zeros(device, {bucket.size / plan_.ranks},
                                      bucket.dtype == DType::F64 ? DType::F64 : DType::F32));
        missing_.push_back(bucket.pieces.size());
    }
    for (size_t i = 0; i < parameters_.size(); ++i)
        parameters_[i]->variable.on_grad_complete([this, i](const Tensor&) { complete(i); });
}

GradientReducer::~GradientReducer() {
    try {
        collectives_.finish();
    } catch (const std::exception&) {
        // Another rank has ended: whoever destroys this on the way out of an error knows.
    }
    for (nn::Parameter* parameter : parameters_) parameter->variable.on_grad_complete(nullptr);
}

void GradientReducer::begin_step() {
    VILA_ASSERT(next_ == 0);
    for (const Tensor& sum : sums_) sum.fill(0.0);
}

void GradientReducer::make_list() {
    std::vector<size_t> blocks;  // as backward() goes through them
    for (size_t i = 0; i < plan_.buckets.size() && blocks_.gather; ++i)
        if (!plan_.buckets[i].block.empty()) blocks.push_back(i);
    for (size_t i = blocks.size(); i-- > 0;) list_.push_back({true, blocks[i]});
    size_t gathered = 0;
    for (size_t i = 0, reached = 0; i < plan_.buckets.size(); ++i) {
        // The block's own weights, and those of the next.
        if (reached < blocks.size() && blocks[reached] == i) {
            ++reached;
            const size_t end = std::min(blocks.size(), reached + (overlap_ ? 1 : 0));
            for (; gathered < end; ++gathered) list_.push_back({true, blocks[gathered]});
        }
        list_.push_back({false, i});
    }
}

void GradientReducer::complete(size_t parameter) {
    --missing_[plan_.bucket_of[parameter]];
    go_on(false);
}

void GradientReducer::need(size_t bucket) {
    const auto place = [&](const Tensor& weights) {
        blocks_.place(bucket, weights);
        go_on(false);
        gather_ahead();
    };
    if (ahead_.bucket) {
        if (!ahead_.has_come) finish();
        const Ahead ahead = std::exchange(ahead_, {});
        if (*ahead.bucket == bucket) return place(ahead.gathering.weights);
    }
    for (; next_ < list_.size(); ++next_) {
        const Entry& entry = list_[next_];
        if (entry.gathers && entry.bucket == bucket) {
            ++next_;
            finish();  // it would wait anyway; so the memory of a sum goes first
            return place(blocks_.gather(bucket, false).weights);
        }
        if (entry.gathers)
            gather_in_vain(entry.bucket);
        else
            reduce(entry.bucket);
    }
    VILA_CHECK(false, "block ", plan_.buckets[bucket].block,
               " is used more often, or in another order, than its ranks agreed on");
}

void GradientReducer::end_micro_batch() {
    go_on(true);
    finish();
    ahead_ = {};
    next_ = 0;
    for (size_t i = 0; i < missing_.size(); ++i) missing_[i] = plan_.buckets[i].pieces.size();
}

void GradientReducer::go_on(bool to_end) {
    for (; next_ < list_.size(); ++next_) {
        const Entry& entry = list_[next_];
        if (entry.gathers) {
            if (!to_end) return;
            gather_in_vain(entry.bucket);
        } else {
            if (!to_end && missing_[entry.bucket] > 0) return;
            reduce(entry.bucket);
        }
    }
}

void GradientReducer::gather_in_vain(size_t bucket) {
    finish();
    blocks_.gather(bucket, false);
}

void GradientReducer::gather_ahead() {
    if (!overlap_ || next_ == list_.size() || !list_[next_].gathers) return;
    const size_t bucket = list_[next_++].bucket;
    ahead_ = {bucket, blocks_.gather(bucket, true)};
}

void GradientReducer::reduce(size_t index) {
    finish();
    const Bucket& bucket = plan_.buckets[index];
    const Tensor& sum = sums_[index];
    const Tensor values = Tensor::empty(sum.device(), {bucket.size}, sum.dtype());
    pack(bucket, values);
    if (!overlap_) return reduce_scatter(collectives_, values, sum, true);
    in_flight_ = {values, Tensor::empty(sum.device(), {bucket.size}, sum.dtype())};
    begin_reduce_scatter(collectives_, values, in_flight_.parts, sum);
}

void GradientReducer::finish() {
    collectives_.finish();
    in_flight_ = {};
    ahead_.has_come = true;
}

void GradientReducer::pack(const Bucket& bucket, const Tensor& values) {
    int64_t filled = 0;
    const auto zero_until = [&](int64_t end) {
        if (end > filled) values.slice(0, filled, end).fill(0.0);
    };
    for (const Bucket::Piece& piece : bucket.pieces) {
        autograd::Variable& variable = parameters_[piece.parameter]->variable;
        zero_until(piece.begin);
        filled = piece.begin + piece.count;
        const Tensor mine = values.slice(0, piece.begin, filled);
        if (variable.grad().defined())
            mine.copy_from(variable.grad().reshape({piece.count}));
        else
            mine.fill(0.0);
        variable.clear_grad();
    }
    zero_until(bucket.size);
}

ExactSum GradientReducer::squares(bool for_any_ranks) const {
    ExactSum squares;
    add_squares(sums_, squares, for_any_ranks ? SquaresFor::AnyCut : SquaresFor::ThisCut);
    return squares;
}

double GradientReducer::norm() const {
    ExactSum total = squares();
    sum_over_ranks(collectives_, {&total, 1});
    return std::sqrt(total.value());
}

}  // namespace vila::dist
