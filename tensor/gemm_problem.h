#pragma once

// The description of a matrix product (GEMM) that the CPU and CUDA implementations share.

#include <cstdint>

#include "tensor/dtype.h"

namespace vila {

// A matrix in memory: element (i, j) is at data + i * row_stride + j * column_stride, in elements.
// One of the two strides is 1. A transposed matrix is the same memory with the strides exchanged.
struct MatrixView {
    const void* data = nullptr;
    int64_t row_stride = 0, column_stride = 0;
    DType dtype = DType::F32;

    int64_t element_size() const { return dtype_size(dtype); }
    MatrixView transposed() const { return {data, column_stride, row_stride, dtype}; }
};

// c (m, n) = alpha * a (m, k) b (k, n) [+ c if accumulate] [+ bias (n)].
// c is row-major, its rows c_row_stride elements apart; bias is contiguous, or null.
// Each implementation lists the dtypes it takes.
struct GemmProblem {
    int64_t m = 0, n = 0, k = 0;
    MatrixView a, b;
    void* c = nullptr;
    int64_t c_row_stride = 0;
    DType c_dtype = DType::F32;
    bool accumulate = false;
    double alpha = 1.0;
    const void* bias = nullptr;
    DType bias_dtype = DType::F32;
};

}  // namespace vila
