#pragma once

// The collectives that every rank runs for one micro-batch, in a fixed order.
//
// The schedule follows from the bucket plan alone, never from the order in which gradients happen
// to be ready, so all ranks run the same collectives without asking each other.
//
// If every rank keeps all weights (ZeRO 0 to 2), the schedule is one reduce-scatter per bucket. If
// the weights of blocks are sharded (ZeRO 3), it is:
//
//     forward     all-gather the weights of each block, first to last
//     backward    for each block, last to first: all-gather its weights, reduce-scatter its
//                 gradients
//     afterwards  reduce-scatter the gradients of the other buckets
//
// With prefetching, the all-gather for the next block of backward comes before the reduce-scatter
// of the current block, so that the weights arrive while the current block runs.

#include <cstddef>
#include <vector>

#include "dist/bucket_plan.h"

namespace vila::dist {

struct ScheduleStep {
    enum class Kind {
        AllGather,      // of the weights of a bucket
        ReduceScatter,  // of the gradients of a bucket
    };
    Kind kind;
    size_t bucket;  // in BucketPlan::buckets

    bool operator==(const ScheduleStep&) const = default;
};

using Schedule = std::vector<ScheduleStep>;

// `blocks_are_sharded`: each rank keeps only a slice of the weights of blocks, and they are
// gathered for each use (ZeRO 3). `prefetch` has no effect otherwise.
Schedule make_schedule(const BucketPlan& plan, bool blocks_are_sharded, bool prefetch);

}  // namespace vila::dist
