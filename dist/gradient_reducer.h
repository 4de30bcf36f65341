#pragma once

// GradientReducer: sums the gradients of a training step over micro-batches and ranks while
// backward() runs, and leaves each rank with its slice of each sum.
//
// Micro-batches are numbered over all ranks: in round j, rank r runs micro-batch j * ranks + r.
// Their gradients are added one after the other in that order, starting from zero, in f32 (f64 for
// f64 parameters). So the sums have the same bits on any number of ranks, as long as the
// micro-batches are the same.
//
// In each micro-batch every rank makes the collectives of one fixed schedule
// (dist/collective_schedule.h). A gradient that nothing reached counts as zeros, and weights that a
// rank does not use are gathered and discarded. So a rank without an image, without a target, or
// without a micro-batch stays in step with the others.
//
// With `overlap`, collectives run in the background: a bucket is summed while backward() computes
// the next one, and the weights of the next block are gathered while a block runs. Each collective
// waits for the one before it, so the additions and their order stay the same.

#include <functional>
#include <optional>
#include <vector>

#include "dist/bucket_plan.h"
#include "dist/collective_schedule.h"
#include "dist/collectives.h"
#include "dist/exact_sum.h"

namespace vila::dist {

// An all-gather of a bucket's weights. Both tensors must live until it is complete.
struct GatheredWeights {
    Tensor slice;    // (bucket.size / ranks), sent
    Tensor weights;  // (bucket.size), received
};

// How the weights of sharded blocks are gathered and used. Both functions are empty where blocks
// are not sharded.
struct BlockWeights {
    // All-gathers the weights of a bucket, at once or in the background.
    std::function<GatheredWeights(size_t bucket, bool in_background)> gather;
    // Points the parameters of a bucket at `weights`.
    std::function<void(size_t bucket, const Tensor& weights)> bind;
};

class GradientReducer {
  public:
    // Takes the gradients of `parameters` from now on: they leave the variables once they are
    // summed. `plan` was made from the same list; all arguments must outlive this object. With
    // `blocks`, the plan gives each block a bucket of its own, and acquire() is called before each
    // use of a block.
    GradientReducer(Collectives& collectives, const BucketPlan& plan,
                    std::vector<nn::Parameter*> parameters, Device& device,
                    BlockWeights blocks = {}, bool overlap = true);
    ~GradientReducer();
    GradientReducer(const GradientReducer&) = delete;
    GradientReducer& operator=(const GradientReducer&) = delete;

    // Sets the sums to zero.
    void begin_step();
    // Call after the backward pass of a micro-batch, or instead of one: every rank calls it equally
    // often. At most one backward() may run between two calls.
    void end_micro_batch();
    // Makes the weights of a block available. Throws if the block is used more often, or in another
    // order, than the schedule says.
    void acquire(size_t bucket);

    // This rank's slice of the sum of a bucket: (plan.slice_of(bucket, rank).size()) values.
    const Tensor& sum(size_t bucket) const { return sums_[bucket]; }
    // The sum of the squares of this rank's slices. With `rank_invariant`, the total over the ranks
    // has the same bits for any number of ranks; on GPUs that costs transfers to the host.
    ExactSum squares(bool rank_invariant = true) const;
    // The norm of the sums over all ranks. Collective: every rank must call it.
    double norm() const;

  private:
    // Called when backward() has finished the gradient of a parameter.
    void gradient_ready(size_t parameter);
    // Makes the next collectives of the schedule for which everything is ready. Stops at an
    // all-gather and at a bucket that still lacks gradients.
    void advance();
    // Makes all collectives of the schedule that are left.
    void finish_schedule();
    void run(const ScheduleStep& step);

    // Starts the next collective in the background if it is an all-gather.
    void prefetch();
    // The prefetched weights if they are those of `bucket`; discards those of any other bucket.
    std::optional<GatheredWeights> take_prefetched(size_t bucket);
    // Runs the schedule up to and including the all-gather of `bucket`.
    GatheredWeights gather_scheduled(size_t bucket);
    // Takes part in an all-gather of weights that this rank does not use.
    void gather_and_discard(size_t bucket);

    // Adds the gradients of a bucket, from all ranks, to this rank's slice of the sum.
    void reduce_scatter(size_t bucket);
    // Moves this rank's gradients of a bucket from the variables to `values` (bucket.size); zeros
    // where there is none, and between the pieces.
    void pack(const Bucket& bucket, const Tensor& values);
    // Waits for the collectives in the background.
    void wait();

    Collectives& collectives_;
    const BucketPlan& plan_;
    std::vector<nn::Parameter*> parameters_;
    std::vector<Tensor> sums_;     // by bucket: (bucket.size / ranks)
    std::vector<size_t> missing_;  // by bucket: gradients of this micro-batch not ready yet
    BlockWeights blocks_;
    bool overlap_;

    Schedule schedule_;
    size_t next_ = 0;  // step of the schedule

    // Buffers of a reduce-scatter in the background.
    struct {
        Tensor sent, received;  // (bucket.size)
    } in_flight_;
    struct Prefetch {
        std::optional<size_t> bucket;
        GatheredWeights gathered;
        bool is_complete = false;
    } prefetched_;
};

}  // namespace vila::dist
