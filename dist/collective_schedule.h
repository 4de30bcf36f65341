#pragma once

// The collectives that every rank makes for one micro-batch, in a fixed order.
//
// The schedule follows from the bucket plan alone, never from the order in which gradients happen
// to be ready, so all ranks make the same calls without asking each other.
//
// Where all weights stay whole (ZeRO 0 to 2), the schedule is one reduce-scatter a bucket. Where
// the weights of blocks are sharded (ZeRO 3), it is:
//
//     forward     all-gather the weights of each block, first to last
//     backward    for each block, last to first: all-gather its weights, reduce-scatter its
//                 gradients
//     the rest    reduce-scatter the other buckets
//
// With prefetching, the all-gather of the next block comes before the reduce-scatter of the block
// that runs, so that it can run in the background.

#include <cstddef>
#include <vector>

#include "dist/bucket_plan.h"

namespace vila::dist {

struct ScheduleStep {
    enum class Kind {
        AllGather,      // the weights of a bucket
        ReduceScatter,  // its gradients
    };
    Kind kind;
    size_t bucket;  // in BucketPlan::buckets

    bool operator==(const ScheduleStep&) const = default;
};

using Schedule = std::vector<ScheduleStep>;

// `blocks_are_sharded`: the buckets of blocks hold their weights in slices, which are gathered for
// each use (ZeRO 3). `prefetch` has an effect only then.
Schedule make_schedule(const BucketPlan& plan, bool blocks_are_sharded, bool prefetch);

}  // namespace vila::dist
