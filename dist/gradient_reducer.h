#pragma once

// GradientReducer: sums the gradients of a step over micro-batches and ranks while backward() runs,
// and leaves each rank with its slices of the sums.
//
// Micro-batches are numbered over all ranks: in round j, rank r runs micro-batch j * ranks + r.
// Their gradients are added one after the other in that order, starting from zero, in f32 (f64 for
// f64 parameters). So the sums have the same bits on any number of ranks, as long as the
// micro-batches are the same ones.
//
// Buckets travel in the order of the plan, never in the order in which gradients happened to be
// ready: every rank makes the same calls. A gradient that nothing reached counts as zeros, so that
// a rank without an image, without a target, or without a micro-batch keeps pace with the others.

#include <vector>

#include "dist/bucket_plan.h"
#include "dist/collectives.h"
#include "dist/exact_sum.h"

namespace vila::dist {

class GradientReducer {
  public:
    // Takes the gradients of `parameters` from now on: they are gone from the variables once
    // summed. `plan` was made from the same list; all must outlive this object.
    GradientReducer(Collectives& collectives, const BucketPlan& plan,
                    std::vector<nn::Parameter*> parameters);
    ~GradientReducer();
    GradientReducer(const GradientReducer&) = delete;
    GradientReducer& operator=(const GradientReducer&) = delete;

    // Forgets the sums of the step before.
    void begin_step();
    // After the backward pass of a micro-batch, or in place of one: every rank calls it as often.
    // At most one backward() may lie between two calls.
    void end_micro_batch();

    // This rank's slice of the sum of a bucket: slice_of(bucket, rank) values.
    const Tensor& sum(size_t bucket) const { return sums_[bucket]; }
    // The norm of all sums of all ranks, of the same bits for any number of ranks. Every rank
    // must call it.
    double norm() const;

  private:
    void complete(size_t parameter);
    // Sends the buckets that are next in the order as long as they are ready, or all.
    void send(bool all);
    void reduce(size_t bucket);

    Collectives& collectives_;
    const BucketPlan& plan_;
    std::vector<nn::Parameter*> parameters_;
    std::vector<Tensor> sums_;
    std::vector<size_t> missing_;  // gradients that a bucket waits for, in this micro-batch
    size_t next_ = 0;              // bucket
};

}  // namespace vila::dist
