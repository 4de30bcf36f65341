#pragma once

// Threads for CPU kernels. Work is cut into items with independent results, so any number of
// threads computes the same bits. A reduction is done within one item.

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "tensor/cpu/cpu_device.h"

namespace vila::cpu_kernels {

// Measures a parallel region for the ThreadBackoff of the device.
class RegionClock {
  public:
    explicit RegionClock(const CpuDevice& device) : backoff_(device.backoff) {}
    ~RegionClock() { backoff_.ended(start_, worked_, ThreadBackoff::now()); }
    RegionClock(const RegionClock&) = delete;
    RegionClock& operator=(const RegionClock&) = delete;
    // Called by every thread when it is done.
    void done(int thread) {
        if (thread == 0) worked_ = ThreadBackoff::processor_time() - worked_before_;
    }

  private:
    ThreadBackoff& backoff_;
    double start_ = ThreadBackoff::now();
    double worked_before_ = ThreadBackoff::processor_time();
    double worked_ = 0.0;
};

// Calls body(part) for each of `parts` equal parts, in parallel.
template <typename Body>
void parallel_parts(const CpuDevice& device, int64_t parts, const Body& body) {
    if (parts <= 1 || device.backoff.alone(ThreadBackoff::now())) {
        for (int64_t part = 0; part < parts; ++part) body(part);
        return;
    }
    RegionClock clock(device);
#pragma omp parallel num_threads(static_cast <int>(parts))
    {
#pragma omp for schedule(static) nowait
        for (int64_t part = 0; part < parts; ++part) body(part);
        clock.done(omp_get_thread_num());
    }
}

// Calls body(begin, end) on disjoint ranges that cover [0, count). `cost` is the approximate number
// of elements touched per item: small totals stay on the calling thread.
template <typename Body>
void parallel_for(const CpuDevice& device, int64_t count, int64_t cost, const Body& body) {
    if (count <= 0) return;
    const int64_t wanted = count * cost / device.elements_per_thread;
    const int64_t parts =
        std::clamp<int64_t>(std::min<int64_t>(wanted, count), 1, device.threads());
    if (parts == 1) return body(int64_t{0}, count);
    parallel_parts(device, parts, [&](int64_t part) {
        const int64_t begin = count * part / parts, end = count * (part + 1) / parts;
        if (begin < end) body(begin, end);
    });
}

// The number of threads worth starting for `count` items that take `cost` multiply-adds together.
inline int worker_count(const CpuDevice& device, int64_t count, int64_t cost) {
    const int64_t least = 16 * device.elements_per_thread;
    const int64_t most = std::min<int64_t>(device.threads(), count);
    return static_cast<int>(std::clamp<int64_t>(cost / least, 1, std::max<int64_t>(1, most)));
}

// Calls body(item, worker) for every item of [0, count), approximately in order, on the next free
// one of `threads` workers (see worker_count). For items of unequal size. `worker`, in [0,
// threads), selects scratch memory.
template <typename Body>
void parallel_items(const CpuDevice& device, int threads, int64_t count, const Body& body) {
    if (threads <= 1 || device.backoff.alone(ThreadBackoff::now())) {
        for (int64_t item = 0; item < count; ++item) body(item, 0);
        return;
    }
    RegionClock clock(device);
#pragma omp parallel num_threads(threads)
    {
        const int worker = omp_get_thread_num();
#pragma omp for schedule(dynamic) nowait
        for (int64_t item = 0; item < count; ++item) body(item, worker);
        clock.done(worker);
    }
}

}  // namespace vila::cpu_kernels
