#pragma once

// Loops over elements, rows and columns for kernels that are plain loops: threads outside, vector
// instructions inside, and sums in an order that depends on the sizes only.

#include "tensor/cpu/parallel.h"
#include "tensor/cpu/simd.h"
#include "tensor/dispatch.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

// parallel_for whose body, made of straight loops, is compiled for the device's instruction set.
template <typename Body>
void vector_for(const CpuDevice& device, int64_t count, int64_t cost, const Body& body) {
    parallel_for(device, count, cost, [&](int64_t begin, int64_t end) {
        with_isa(device.isa(), [&body, begin, end] { body(begin, end); });
    });
}

// vector_for over elements: boundaries between threads are multiples of the longest vector, so that
// each element goes through the same instructions whatever the number of threads.
template <typename Body>
void vector_for_elements(const CpuDevice& device, int64_t count, int64_t cost, const Body& body) {
    constexpr int64_t kBlock = 64;
    vector_for(device, ceil_div(count, kBlock), cost * kBlock,
               [&body, count](int64_t begin, int64_t end) {
                   body(begin * kBlock, std::min(end * kBlock, count));
               });
}

// Elements of any float type as the type to compute in.
template <typename T>
VILA_ALWAYS_INLINE compute_t<T> widen(T x) {
    return static_cast<compute_t<T>>(x);
}

// Sum of term(0) .. term(count - 1), in partial sums that fill the longest vector and are then
// added pair by pair, in the same order on every processor.
template <typename Compute, typename Term>
VILA_ALWAYS_INLINE Compute vector_sum(int64_t count, const Term& term) {
    constexpr int64_t kLanes = 16;
    Compute lanes[kLanes] = {};
    const int64_t whole = count / kLanes * kLanes;
    for (int64_t i = 0; i < whole; i += kLanes)
        for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
    for (int64_t i = whole; i < count; ++i) lanes[i - whole] += term(i);
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
        for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

// The number of rows whose column sums are taken together before they are added to the total: from
// the sizes alone, and few enough that the partial sums stay small.
inline int64_t rows_per_chunk(int64_t rows) {
    constexpr int64_t kFewest = 32, kMostChunks = 64;
    return std::max(kFewest, ceil_div(rows, kMostChunks));
}

// total (columns) += the sum over rows. body(begin, end, partial) adds its rows to `partial`
// (columns, zero at first); partial sums are added up in the order of rows. A null total is not
// written; the body runs all the same.
template <typename Compute, typename Body>
void sum_rows_in_chunks(Device& device, int64_t rows, int64_t columns, Compute* total,
                        const Body& body) {
    const auto& on = static_cast<const CpuDevice&>(device);
    const int64_t chunk = rows_per_chunk(rows), chunks = ceil_div(rows, chunk);
    const Tensor scratch = Tensor::empty(device, {chunks, columns}, dtype_of<Compute>);
    Compute* partial = scratch.data<Compute>();
    vector_for(on, chunks, chunk * columns, [=, &body](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            std::fill(partial + i * columns, partial + (i + 1) * columns, Compute(0));
            body(i * chunk, std::min((i + 1) * chunk, rows), partial + i * columns);
        }
    });
    if (!total) return;
    vector_for_elements(on, columns, chunks, [=](int64_t begin, int64_t end) {
        for (int64_t i = 0; i < chunks; ++i)
            for (int64_t c = begin; c < end; ++c) total[c] += partial[i * columns + c];
    });
}

}  // namespace vila::cpu_kernels
