#pragma once

// Range checks of indices that come with the data (token ids, positions, cu_seqlens), before a
// kernel uses them.

#include "tensor/tensor.h"

namespace vila::cpu_kernels {

// Throws unless every index is in [lowest, rows).
inline void check_row_index(const char* op, const Tensor& index, int64_t lowest, int64_t rows) {
    const int32_t* values = index.data<int32_t>();
    const int64_t count = index.numel();
    for (int64_t i = 0; i < count; ++i)
        VILA_CHECK(values[i] >= lowest && values[i] < rows, "[", op, "] index ", values[i],
                   " at position ", i, ": expected ", lowest, " to ", rows - 1);
}

// Throws unless `cu_seqlens` (B + 1) never decreases and stays in [0, rows].
inline void check_cu_seqlens(const char* op, const Tensor& cu_seqlens, int64_t rows) {
    const int32_t* values = cu_seqlens.data<int32_t>();
    const int64_t last = cu_seqlens.numel() - 1;
    VILA_CHECK(values[0] >= 0 && values[last] <= rows, "[", op, "] cu_seqlens run from ", values[0],
               " to ", values[last], ": expected values within 0 to ", rows);
    for (int64_t b = 0; b < last; ++b)
        VILA_CHECK(values[b] <= values[b + 1], "[", op, "] cu_seqlens decrease from ", values[b],
                   " to ", values[b + 1], " at sequence ", b);
}

}  // namespace vila::cpu_kernels
