#pragma once

// Measures of time and memory, and the median that benchmarks report.

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "tensor/check.h"

namespace vila::tools {

// Wall-clock time since construction, or since the last restart().
class Stopwatch {
  public:
    // In seconds.
    double elapsed() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }
    void restart() { start_ = std::chrono::steady_clock::now(); }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Wall-clock seconds that body() takes.
template <typename Body>
double seconds_of(const Body& body) {
    const Stopwatch stopwatch;
    body();
    return stopwatch.elapsed();
}

// Processor time of the calling thread so far, in seconds.
inline double thread_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// Processor seconds that the calling thread spends in body().
template <typename Body>
double thread_seconds_of(const Body& body) {
    const double start = thread_seconds();
    body();
    return thread_seconds() - start;
}

// The largest resident set of this process so far, in bytes.
inline int64_t peak_process_bytes() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return int64_t{usage.ru_maxrss} * 1024;
}

// The middle value, or the upper of the two middle ones. Needs at least one value.
inline double median(std::vector<double> values) {
    VILA_ASSERT(!values.empty());
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace vila::tools
