#pragma once

// Threads for CPU kernels. Work is cut into items whose results are independent, so that any
// number of threads computes the same bits; a reduction over items belongs to one item.

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

}  // namespace vila::cpu_kernels
