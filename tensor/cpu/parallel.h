#pragma once

// Threads for CPU kernels. Work is cut into items whose results are independent, so that any
// number of threads computes the same bits; a reduction over items belongs to one item.

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "tensor/cpu/cpu_device.h"

namespace vila::cpu_kernels {

// Calls body(begin, end) on disjoint ranges that cover [0, count). `cost` is the rough number of
// elements touched per item: small totals stay on the calling thread.
template <typename Body>
void parallel_for(const CpuDevice& device, int64_t count, int64_t cost, const Body& body) {
    const int64_t wanted = count * cost / device.elements_per_thread;
    const int64_t threads =
        wanted < 2 ? 1 : (wanted < device.threads() ? wanted : int64_t{device.threads()});
    if (threads <= 1 || count <= 1) {
        if (count > 0) body(int64_t{0}, count);
        return;
    }
#pragma omp parallel for num_threads(static_cast <int>(threads)) schedule(static)
    for (int64_t part = 0; part < threads; ++part) {
        const int64_t begin = count * part / threads;
        const int64_t end = count * (part + 1) / threads;
        if (begin < end) body(begin, end);
    }
}

// How many threads are worth starting for `count` items of together `cost` multiply-adds.
inline int worker_count(const CpuDevice& device, int64_t count, int64_t cost) {
    const int64_t least = 16 * device.elements_per_thread;
    const int64_t most = std::min<int64_t>(device.threads(), count);
    return static_cast<int>(std::clamp<int64_t>(cost / least, 1, std::max<int64_t>(1, most)));
}

// Calls body(item, worker) for every item of [0, count), in about that order, each on the next free
// one of `threads` workers (see worker_count): for items of unequal size. `worker`, in
// [0, threads), names scratch memory.
template <typename Body>
void parallel_items(int threads, int64_t count, const Body& body) {
    if (threads <= 1) {
        for (int64_t item = 0; item < count; ++item) body(item, 0);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t item = 0; item < count; ++item) body(item, omp_get_thread_num());
}

}  // namespace vila::cpu_kernels
