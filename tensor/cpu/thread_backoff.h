#pragma once

// Keeps the caller from waiting for threads whose cores are busy with other processes. If one
// thread of a short parallel region is not scheduled for milliseconds, the region takes a hundred
// times longer than on the calling thread alone. So when waiting exceeds work, kernels run on the
// calling thread only for a while; the pause doubles each time that the next attempt is no better.
// Results do not depend on the number of threads, so this affects only time.

#include <time.h>

#include <algorithm>

namespace vila {

class ThreadBackoff {
  public:
    // Whether a region that starts now should run on the calling thread only. Times are seconds of
    // one steady clock.
    bool alone(double now) const { return now < alone_until_; }

    // Reports a region of several threads that ran from start to end. The caller's own part took
    // `worked` seconds of processor time. Regions are judged together, a few milliseconds at a
    // time.
    void ended(double start, double worked, double end) {
        worked_ += worked;
        elapsed_ += end - start;
        if (elapsed_ < kLook) return;
        if (elapsed_ > kPatience * worked_) {
            pause_ = std::min(std::max(2.0 * pause_, elapsed_), kLongestPause);
            alone_until_ = end + pause_;
        } else {
            pause_ = 0.0;
        }
        worked_ = elapsed_ = 0.0;
    }

    // Seconds of a steady clock, and of processor time that the calling thread has used.
    static double now() { return seconds(CLOCK_MONOTONIC); }
    static double processor_time() { return seconds(CLOCK_THREAD_CPUTIME_ID); }

    static constexpr double kLook = 8e-3;  // longer than a scheduler time slice
    // Alone, the caller needs about twice the time of its part. If a region takes longer than that,
    // the other threads cost more than they save.
    static constexpr double kPatience = 2.5;
    static constexpr double kLongestPause = 0.25;

  private:
    static double seconds(clockid_t clock) {
        timespec time{};
        ::clock_gettime(clock, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    }

    double worked_ = 0.0, elapsed_ = 0.0;  // since the last decision
    double pause_ = 0.0;
    double alone_until_ = 0.0;
};

}  // namespace vila
