#pragma once

// Shared by embedding_backward and scatter_add_rows.

#include "tensor/cpu/vector_loops.h"

namespace vila::cpu_kernels {

// y (.., columns) rows index (count) += x (count, columns), rows in order; a negative index is
// skipped. Each thread owns columns, so no two threads add to the same element.
template <typename T>
void add_rows_at(const CpuDevice& device, const T* x, const int32_t* index, int64_t count,
                 int64_t columns, compute_t<T>* y) {
    vector_for_elements(device, columns, count, [=](int64_t begin, int64_t end) {
        for (int64_t r = 0; r < count; ++r) {
            if (index[r] < 0) continue;
            const T* x_r = x + r * columns;
            compute_t<T>* y_r = y + index[r] * columns;
            for (int64_t c = begin; c < end; ++c) y_r[c] += widen(x_r[c]);
        }
    });
}

}  // namespace vila::cpu_kernels
