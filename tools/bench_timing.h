#pragma once

// Time and medians for the benchmarks.

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

// The middle value, or the upper of the two; of at least one.
inline double median(std::vector<double> values) {
    VILA_ASSERT(!values.empty());
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace vila::tools
