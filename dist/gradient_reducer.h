#pragma once

// GradientReducer: sums the gradients of a step over micro-batches and ranks while backward() runs,
// and leaves each rank with its slices of the sums.
//
// Micro-batches are numbered over all ranks: in round j, rank r runs micro-batch j * ranks + r.
// Their gradients are added one after the other in that order, starting from zero, in f32 (f64 for
// f64 parameters). So the sums have the same bits on any number of ranks, as long as the
// micro-batches are the same ones.
//
// Buckets travel in an order fixed by the plan, never in the order in which gradients happened to
// be ready: every rank makes the same calls. A gradient that nothing reached counts as zeros, so
// that a rank without an image, without a target, or without a micro-batch keeps pace with the
// others.
//
// With `overlap` the sum of a bucket is taken in the background while backward() makes the next
// one; a bucket waits for the one before it. The additions and their order are the same.
//
// Where the weights of blocks are divided too (ZeRO 3), a micro-batch is this fixed list: gather
// the weights of each block, first to last; from the last to the first, gather them again and sum
// their gradients; sum the other gradients. With `overlap` the weights of the block that comes next
// are gathered while a block runs, in the list before that block's sum. A rank that has no use for
// an entry takes part all the same.

#include <functional>
#include <optional>
#include <vector>

#include "dist/bucket_plan.h"
#include "dist/collectives.h"
#include "dist/exact_sum.h"

namespace vila::dist {

// The weights of blocks that are divided, by their bucket.
struct BlockWeights {
    // What goes out and what comes in: both must stay until it has come.
    struct Gathering {
        Tensor mine, weights;
    };
    // Has every rank get all of a bucket's weights, at once or in the background.
    std::function<Gathering(size_t bucket, bool in_background)> gather;
    // Makes `weights` the values of the parameters.
    std::function<void(size_t bucket, const Tensor& weights)> place;
};

class GradientReducer {
  public:
    // Takes the gradients of `parameters` from now on: they are gone from the variables once
    // summed. `plan` was made from the same list; all must outlive this object. With `blocks`, the
    // plan has the blocks in buckets of their own, and need() is called before each use.
    GradientReducer(Collectives& collectives, const BucketPlan& plan,
                    std::vector<nn::Parameter*> parameters, Device& device,
                    BlockWeights blocks = {}, bool overlap = true);
    ~GradientReducer();
    GradientReducer(const GradientReducer&) = delete;
    GradientReducer& operator=(const GradientReducer&) = delete;

    // Forgets the sums of the step before.
    void begin_step();
    // After the backward pass of a micro-batch, or in place of one: every rank calls it as often.
    // At most one backward() may lie between two calls.
    void end_micro_batch();
    // The weights of a block are about to be used.
    void need(size_t bucket);

    // This rank's slice of the sum of a bucket: slice_of(bucket, rank) values.
    const Tensor& sum(size_t bucket) const { return sums_[bucket]; }
    // This rank's part of the sum of the squares of all sums; of the same bits in total for any
    // number of ranks if that is asked for, which on GPUs has its price.
    ExactSum squares(bool for_any_ranks = true) const;
    // The norm of all sums of all ranks. Every rank must call it.
    double norm() const;

  private:
    // One entry of the list that every rank goes through for every micro-batch.
    struct Entry {
        bool gathers;  // weights; else sums gradients
        size_t bucket;
    };
    void make_list();
    void complete(size_t parameter);
    // Goes on with the list as far as gradients are ready, or to its end.
    void go_on(bool to_end);
    // The weights of a bucket that nobody will use.
    void gather_in_vain(size_t bucket);
    // Gathers what comes next in the list, in the background, if it is weights.
    void gather_ahead();
    void reduce(size_t bucket);
    // This rank's gradients of a bucket in a row, zeros where nothing reached one; they leave the
    // variables.
    void pack(const Bucket& bucket, const Tensor& values);
    // Waits for what is going on in the background.
    void finish();

    Collectives& collectives_;
    const BucketPlan& plan_;
    std::vector<nn::Parameter*> parameters_;
    std::vector<Tensor> sums_;
    std::vector<size_t> missing_;  // gradients that a bucket waits for, in this micro-batch
    BlockWeights blocks_;
    bool overlap_;
    struct {
        Tensor values, parts;  // what goes out and comes in
    } in_flight_;
    struct Ahead {
        std::optional<size_t> bucket;
        BlockWeights::Gathering gathering;
        bool has_come = false;
    } ahead_;
    std::vector<Entry> list_;
    size_t next_ = 0;  // entry
};

}  // namespace vila::dist
