#pragma once

// Sums of rows by index, shared by embedding_backward and scatter_add_rows.

#include "tensor/cpu/vector_loops.h"

namespace vila::cpu_kernels {

// y[index[r]] += x[r] for each row r of x (count, columns), in order; rows with a negative index
// are skipped. Each thread owns a range of columns, so no two threads add to the same element.
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
