#pragma once

// Time and medians for the benchmarks.

#include <time.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "tensor/check.h"

namespace vila::tools {

// Seconds that body() takes by the wall clock.
template <typename Body>
double seconds_of(const Body& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Processor time that the calling thread has used, in seconds.
inline double thread_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// The middle value, or the upper of the two; of at least one.
inline double median(std::vector<double> values) {
    VILA_ASSERT(!values.empty());
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace vila::tools
