#pragma once

// sum_terms: many sums at once, total[o] = sum over r < count of value(o, r) for o < outputs, in an
// order that depends on the sizes alone. The terms of a sum are cut into chunks. One kernel adds up
// each chunk; a second one adds the chunks in order and passes each total to finish(o, total).
//
// value is a struct with `__device__ Compute operator()(int64_t o, int64_t r) const`, finish one
// with `__device__ void operator()(int64_t o, Compute total) const`.

#include "cuda/elements.h"
#include "cuda/rows.h"

namespace vila::cuda {

// Which of o and r is contiguous in memory, and so is assigned to consecutive threads.
enum class Neighbors { Outputs, Terms };

// Terms per chunk: enough work for a thread (Outputs) or a warp (Terms) to be worth launching.
constexpr int64_t kTermsPerThread = 64;
constexpr int64_t kTermsPerWarp = 4096;

// One thread per (chunk, output), consecutive along outputs: partial[chunk * outputs + o].
template <typename Compute, typename Value>
struct SumByThread {
    Value value;
    int64_t outputs, count;
    Compute* partial;

    __device__ void operator()(int64_t i) const {
        const int64_t o = i % outputs, begin = i / outputs * kTermsPerThread;
        const int64_t end = begin + kTermsPerThread < count ? begin + kTermsPerThread : count;
        Compute sum = 0;
        for (int64_t r = begin; r < end; ++r) sum += value(o, r);
        partial[i] = sum;
    }
};

// One warp per (chunk, output), lanes along terms.
template <typename Compute, typename Value>
struct SumByWarp {
    Value value;
    int64_t outputs, count;
    Compute* partial;

    __device__ void operator()(int64_t i, int lane) const {
        const int64_t o = i % outputs, begin = i / outputs * kTermsPerWarp;
        const int64_t terms = count - begin < kTermsPerWarp ? count - begin : kTermsPerWarp;
        const auto sum = row_sum<Compute>(
            terms, lane, [this, o, begin](int64_t t) { return value(o, begin + t); });
        if (lane == 0) partial[i] = sum;
    }
};

template <typename Compute, typename Finish>
struct SumOfChunks {
    const Compute* partial;
    int64_t outputs, chunks;
    Finish finish;

    __device__ void operator()(int64_t o) const {
        Compute total = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) total += partial[chunk * outputs + o];
        finish(o, total);
    }
};

template <Neighbors neighbors, typename Compute, typename Value, typename Finish>
void sum_terms(CudaDevice& device, int64_t outputs, int64_t count, const Value& value,
               const Finish& finish) {
    const int64_t chunk = neighbors == Neighbors::Outputs ? kTermsPerThread : kTermsPerWarp;
    const int64_t chunks = ceil_div(count, chunk);
    const Tensor partial = Tensor::empty(device, {chunks, outputs}, dtype_of<Compute>);
    auto* sums = partial.data<Compute>();
    if constexpr (neighbors == Neighbors::Outputs) {
        for_elements(device, chunks * outputs,
                     SumByThread<Compute, Value>{value, outputs, count, sums});
    } else {
        for_rows(device, chunks * outputs, SumByWarp<Compute, Value>{value, outputs, count, sums});
    }
    for_elements(device, outputs, SumOfChunks<Compute, Finish>{sums, outputs, chunks, finish});
}

// A finish that adds to a vector, as in dweight += total.
template <typename Compute>
struct AddTo {
    Compute* sum;

    __device__ void operator()(int64_t o, Compute total) const { sum[o] += total; }
};

}  // namespace vila::cuda
