// ThreadBackoff decides when parallel regions stay on the calling thread; here with invented times.

#include "tensor/cpu/thread_backoff.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <vector>

#include "tensor/cpu/parallel.h"

namespace vila {
namespace {

// Reports a region that worked and then waited for so many seconds. Returns the time after it.
double region(ThreadBackoff& backoff, double now, double worked, double waited) {
    backoff.ended(now, worked, now + worked + waited);
    return now + worked + waited;
}

TEST(ThreadBackoff, StaysAloneAfterALateRegionAndLongerEachTime) {
    ThreadBackoff backoff;
    EXPECT_FALSE(backoff.alone(0.0));
    double now = region(backoff, 1.0, 0.001, 0.010);
    EXPECT_TRUE(backoff.alone(now + 0.010));
    EXPECT_FALSE(backoff.alone(now + 0.012));
    now = region(backoff, now + 0.012, 0.001, 0.010);  // no better
    EXPECT_TRUE(backoff.alone(now + 0.021));
    EXPECT_FALSE(backoff.alone(now + 0.023));
    now += 0.023;
    for (int i = 0; i < 20; ++i) {
        now = region(backoff, now, 0.001, 0.010);
        while (backoff.alone(now)) now += 0.001;
    }
    now = region(backoff, now, 0.001, 0.010);
    EXPECT_TRUE(backoff.alone(now + 0.99 * ThreadBackoff::kLongestPause));
    EXPECT_FALSE(backoff.alone(now + 1.01 * ThreadBackoff::kLongestPause));
}

TEST(ThreadBackoff, ForgetsOnceTheOthersAreInTime) {
    ThreadBackoff backoff;
    double now = 1.0;
    for (int i = 0; i < 10; ++i) now = region(backoff, now, 0.001, 0.010);
    now = region(backoff, now + 1.0, 0.009, 0.001);
    EXPECT_FALSE(backoff.alone(now));
    now = region(backoff, now, 0.001, 0.010);
    EXPECT_TRUE(backoff.alone(now + 0.010));
    EXPECT_FALSE(backoff.alone(now + 0.012));
}

TEST(ThreadBackoff, JudgesManyRegionsTogether) {
    ThreadBackoff backoff;
    double now = 1.0;
    // 3 ms lost among 10 ms of work is cheaper than working alone.
    for (int i = 0; i < 100; ++i) {
        now = region(backoff, now, 0.0001, i % 50 == 20 ? 0.003 : 0.00001);
        EXPECT_FALSE(backoff.alone(now)) << i;
    }
    // 100 short waits are not.
    bool alone = false;
    for (int i = 0; i < 100; ++i) {
        now = region(backoff, now, 0.0001, 0.0002);
        alone |= backoff.alone(now);
    }
    EXPECT_TRUE(alone);
}

TEST(ThreadBackoff, EveryItemRunsOnceWithOrWithoutOthers) {
    using namespace cpu_kernels;
    const auto device = make_cpu_device(3);
    device->elements_per_thread = 1;
    for (const bool alone : {false, true}) {
        if (alone) {
            const double now = ThreadBackoff::now();
            device->backoff.ended(now, 0.0, now + 3600.0);
        }
        std::vector<std::atomic<int>> seen(101);
        std::atomic<int> calls = 0;
        parallel_for(*device, 101, 1, [&](int64_t begin, int64_t end) {
            ++calls;
            for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        EXPECT_EQ(calls, 3);
        parallel_items(*device, 3, 101, [&](int64_t item, int worker) {
            EXPECT_LT(worker, alone ? 1 : 3);
            ++seen[static_cast<size_t>(item)];
        });
        for (const auto& count : seen) EXPECT_EQ(count, 2);
    }
}

}  // namespace
}  // namespace vila
