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
      overlap_(overlap && collectives.ranks() > 1),
      schedule_(make_schedule(plan, blocks_.gather != nullptr, overlap_)) {
    VILA_ASSERT(plan_.ranks == collectives_.ranks() &&
                plan_.bucket_of.size() == parameters_.size());
    for (const Bucket& bucket : plan_.buckets) {
        sums_.push_back(Tensor::zeros(device, {bucket.size / plan_.ranks},
                                      bucket.dtype == DType::F64 ? DType::F64 : DType::F32));
        missing_.push_back(bucket.pieces.size());
    }
    for (size_t i = 0; i < parameters_.size(); ++i)
        parameters_[i]->variable.on_grad_complete([this, i](const Tensor&) { gradient_ready(i); });
}

GradientReducer::~GradientReducer() {
    try {
        collectives_.finish();
    } catch (const std::exception&) {
        // Another rank has failed, and the exception that reports it is already being thrown.
    }
    for (nn::Parameter* parameter : parameters_) parameter->variable.on_grad_complete(nullptr);
}

void GradientReducer::begin_step() {
    VILA_ASSERT(next_ == 0);
    for (const Tensor& sum : sums_) sum.fill(0.0);
}

void GradientReducer::end_micro_batch() {
    finish_schedule();
    wait();
    prefetched_ = {};
    next_ = 0;
    for (size_t i = 0; i < missing_.size(); ++i) missing_[i] = plan_.buckets[i].pieces.size();
}

// --- the schedule ---

void GradientReducer::gradient_ready(size_t parameter) {
    --missing_[plan_.bucket_of[parameter]];
    advance();
}

void GradientReducer::advance() {
    const auto is_ready = [&](const ScheduleStep& step) {
        return step.kind == ScheduleStep::Kind::ReduceScatter && missing_[step.bucket] == 0;
    };
    for (; next_ < schedule_.size() && is_ready(schedule_[next_]); ++next_) run(schedule_[next_]);
}

void GradientReducer::finish_schedule() {
    for (; next_ < schedule_.size(); ++next_) run(schedule_[next_]);
}

void GradientReducer::run(const ScheduleStep& step) {
    if (step.kind == ScheduleStep::Kind::AllGather)
        gather_and_discard(step.bucket);
    else
        reduce_scatter(step.bucket);
}

void GradientReducer::wait() {
    collectives_.finish();
    in_flight_ = {};
    prefetched_.is_complete = true;
}

// --- all-gathers of weights ---

void GradientReducer::acquire(size_t bucket) {
    const std::optional<GatheredWeights> prefetched = take_prefetched(bucket);
    const GatheredWeights gathered = prefetched ? *prefetched : gather_scheduled(bucket);
    blocks_.bind(bucket, gathered.weights);
    advance();
    prefetch();
}

void GradientReducer::prefetch() {
    if (!overlap_ || next_ == schedule_.size()) return;
    const ScheduleStep& step = schedule_[next_];
    if (step.kind != ScheduleStep::Kind::AllGather) return;
    ++next_;
    prefetched_ = {step.bucket, blocks_.gather(step.bucket, true)};
}

std::optional<GatheredWeights> GradientReducer::take_prefetched(size_t bucket) {
    if (!prefetched_.bucket) return std::nullopt;
    if (!prefetched_.is_complete) wait();
    const Prefetch taken = std::exchange(prefetched_, {});
    if (*taken.bucket != bucket) return std::nullopt;
    return taken.gathered;
}

GatheredWeights GradientReducer::gather_scheduled(size_t bucket) {
    const ScheduleStep wanted = {ScheduleStep::Kind::AllGather, bucket};
    for (; next_ < schedule_.size() && schedule_[next_] != wanted; ++next_) run(schedule_[next_]);
    VILA_CHECK(next_ < schedule_.size(), "block ", plan_.buckets[bucket].block,
               " is used more often than in the schedule of all ranks, or in another order");
    ++next_;
    // The all-gather would wait anyway, but waiting now frees the buffers of the last sum earlier.
    wait();
    return blocks_.gather(bucket, false);
}

void GradientReducer::gather_and_discard(size_t bucket) {
    wait();
    blocks_.gather(bucket, false);
}

// --- reduce-scatters of gradients ---

void GradientReducer::reduce_scatter(size_t index) {
    wait();
    const Bucket& bucket = plan_.buckets[index];
    const Tensor& sum = sums_[index];
    const Tensor values = Tensor::empty(sum.device(), {bucket.size}, sum.dtype());
    pack(bucket, values);
    if (!overlap_) return dist::reduce_scatter(collectives_, values, sum, true);
    in_flight_ = {values, Tensor::empty(sum.device(), {bucket.size}, sum.dtype())};
    begin_reduce_scatter(collectives_, values, in_flight_.received, sum);
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

// --- the norm ---

ExactSum GradientReducer::squares(bool rank_invariant) const {
    ExactSum squares;
    add_squares(sums_, squares, rank_invariant ? Partition::Any : Partition::Fixed);
    return squares;
}

double GradientReducer::norm() const {
    ExactSum total = squares();
    sum_over_ranks(collectives_, {&total, 1});
    return std::sqrt(total.value());
}

}  // namespace vila::dist
