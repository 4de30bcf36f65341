// The order of the collectives of a micro-batch, with and without sharded blocks and prefetching.

#include "dist/collective_schedule.h"

#include <gtest/gtest.h>

#include "tensor/check.h"

namespace vila::dist {
namespace {

// Buckets of two blocks, in the order of backward(), and one of other parameters.
BucketPlan two_blocks() {
    BucketPlan plan;
    for (const char* block : {"model.layers.1.", "model.layers.0.", ""}) {
        Bucket& bucket = plan.buckets.emplace_back();
        bucket.block = block;
    }
    return plan;
}

// "gather 1" is the all-gather of the weights of bucket 1, "reduce 1" the reduce-scatter of its
// gradients.
std::string text(const Schedule& schedule) {
    std::string text;
    for (const ScheduleStep& step : schedule)
        text +=
            str(text.empty() ? "" : ", ",
                step.kind == ScheduleStep::Kind::AllGather ? "gather " : "reduce ", step.bucket);
    return text;
}

TEST(CollectiveSchedule, ReducesEachBucketWhereWeightsAreWhole) {
    EXPECT_EQ(text(make_schedule(two_blocks(), false, false)), "reduce 0, reduce 1, reduce 2");
    EXPECT_EQ(text(make_schedule(two_blocks(), false, true)), "reduce 0, reduce 1, reduce 2");
}

TEST(CollectiveSchedule, GathersShardedBlocksForwardAndBackward) {
    EXPECT_EQ(text(make_schedule(two_blocks(), true, false)),
              "gather 1, gather 0, "
              "gather 0, reduce 0, gather 1, reduce 1, reduce 2");
}

TEST(CollectiveSchedule, PrefetchesTheNextBlockBeforeTheSumOfThisOne) {
    EXPECT_EQ(text(make_schedule(two_blocks(), true, true)),
              "gather 1, gather 0, "
              "gather 0, gather 1, reduce 0, reduce 1, reduce 2");
}

}  // namespace
}  // namespace vila::dist
