#pragma once

// GradientReducer: sums the gradients of a training step over micro-batches and ranks while
// backward() runs. Each rank keeps its slice of the sum of each bucket.
//
// Micro-batches are numbered across all ranks: in round j, rank r runs micro-batch j * ranks + r.
// Their gradients are added one after the other in that order, starting from zero, in f32 (f64 for
// f64 parameters). So the sums have the same bits on any number of ranks, as long as the
// micro-batches are the same.
//
// In each micro-batch every rank runs the collectives of one fixed schedule
// (dist/collective_schedule.h). A parameter without a gradient contributes zeros, and weights that
// a rank does not use are gathered and discarded. So a rank without an image, without a target, or
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

// The buffers of an all-gather of a bucket's weights. Both must exist until it is complete.
struct GatheredWeights {
    Tensor slice;    // (bucket.size / ranks): this rank's part, sent to the others
    Tensor weights;  // (bucket.size): all of the weights, received
};

// The functions that gather and use the weights of sharded blocks. Both are empty if blocks are not
// sharded.
struct BlockWeights {
    // All-gathers the weights of a bucket: waits for them, or starts in the background.
    std::function<GatheredWeights(size_t bucket, bool in_background)> gather;
    // Points the parameters of a bucket at `weights`.
    std::function<void(size_t bucket, const Tensor& weights)> bind;
};

class GradientReducer {
  public:
    // From now on, takes the gradients of `parameters` and clears them as they are summed. `plan`
    // must be made from the same list, and all arguments must outlive this object. If `blocks` is
    // given, the plan must give each block a bucket of its own, and the caller must call acquire()
    // before each use of a block.
    GradientReducer(Collectives& collectives, const BucketPlan& plan,
                    std::vector<nn::Parameter*> parameters, Device& device,
                    BlockWeights blocks = {}, bool overlap = true);
    ~GradientReducer();
    GradientReducer(const GradientReducer&) = delete;
    GradientReducer& operator=(const GradientReducer&) = delete;

    // Sets the sums to zero.
    void begin_step();
    // Completes the sums of a micro-batch. Call it after the backward pass of each micro-batch.
    // Every rank must call it equally often, so a rank with fewer micro-batches also calls it
    // without a backward pass. At most one backward() may run between two calls.
    void end_micro_batch();
    // Makes the weights of a block available. Throws if blocks are used more often than in the
    // schedule, or in another order.
    void acquire(size_t bucket);

    // This rank's slice of the sum of a bucket: (bucket.size / ranks).
    const Tensor& sum(size_t bucket) const { return sums_[bucket]; }
    // The sum of the squares of this rank's slices. With `rank_invariant`, the total over the ranks
    // has the same bits for any number of ranks, but on GPUs more data is copied to the host.
    ExactSum squares(bool rank_invariant = true) const;
    // The global norm of the summed gradients. A collective: every rank must call it.
    double norm() const;

  private:
    // Called when backward() has finished the gradient of a parameter.
    void gradient_ready(size_t parameter);
    // Runs the next reduce-scatters of the schedule whose gradients are ready. Stops at an
    // all-gather and at a bucket that still lacks gradients.
    void advance();
    // Runs all remaining collectives of the schedule.
    void finish_schedule();
    void run(const ScheduleStep& step);

    // Starts the next collective in the background if it is an all-gather.
    void prefetch();
    // Returns the prefetched weights if they are those of `bucket`, else discards them.
    std::optional<GatheredWeights> take_prefetched(size_t bucket);
    // Runs the schedule up to and including the all-gather of `bucket`, and returns its result.
    GatheredWeights gather_scheduled(size_t bucket);
    // Takes part in an all-gather of weights that this rank does not use.
    void gather_and_discard(size_t bucket);

    // Adds the gradients of a bucket, from all ranks, to this rank's slice of the sum.
    void reduce_scatter(size_t bucket);
    // Moves this rank's gradients of a bucket from the variables to `values` (bucket.size). Writes
    // zeros for missing gradients and between the pieces.
    void pack(const Bucket& bucket, const Tensor& values);
    // Waits for the background collectives and frees their buffers.
    void wait();

    Collectives& collectives_;
    const BucketPlan& plan_;
    std::vector<nn::Parameter*> parameters_;
    std::vector<Tensor> sums_;     // by bucket: (bucket.size / ranks)
    std::vector<size_t> missing_;  // by bucket: gradients of this micro-batch not ready yet
    BlockWeights blocks_;
    bool overlap_;

    Schedule schedule_;
    size_t next_ = 0;  // index of the next step of the schedule

    // The buffers of a background reduce-scatter.
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
