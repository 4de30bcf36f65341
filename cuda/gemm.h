#pragma once

// Matrix products on the GPU: c = alpha * a b [+ c] [+ bias], batched, and what follows them.

#include <cstdint>

#include "cuda/cuda_device.h"
#include "tensor/dtype.h"
#include "tensor/kernels.h"
#include "tensor/shape.h"

namespace vila::cuda {

// A matrix in memory: element (i, j) of batch 0 is at i * row_step + j * column_step, one of the
// two steps being 1. A transposed matrix is the same memory with the steps exchanged.
struct MatrixView {
    const void* data = nullptr;
    int64_t row_step = 0, column_step = 0;
    DType dtype = DType::F32;

    MatrixView transposed() const { return {data, column_step, row_step, dtype}; }
};

// Where the matrices of a batch begin: batch axes with the strides of a, b and c.
struct BatchAxes {
    int rank = 0;
    int64_t extent[Shape::kMaxRank] = {};
    int64_t a[Shape::kMaxRank] = {}, b[Shape::kMaxRank] = {}, c[Shape::kMaxRank] = {};

    int64_t count() const {
        int64_t product = 1;
        for (int axis = 0; axis < rank; ++axis) product *= extent[axis];
        return product;
    }
};

// a (m, k), b (k, n), c (m, n) with rows of c `c_row` elements apart. a and b in f32 or bf16 (they
// may differ), c in f32 or bf16; or all of them f64, or c alone f32. bias (n) or nullptr.
//
// An epilogue is for cuBLASLt alone (gemm_tiled knows none): addend, which lies like c, is added;
// c = gelu of that by its tanh form, and before_gelu, which lies like c too, may receive that.
struct GemmProblem {
    int64_t m = 0, n = 0, k = 0;
    MatrixView a, b;
    void* c = nullptr;
    int64_t c_row = 0;
    DType c_dtype = DType::F32;
    bool accumulate = false;
    double alpha = 1.0;
    const void* bias = nullptr;
    DType bias_dtype = DType::F32;
    BatchAxes batch = {};
    const void* addend = nullptr;
    bool gelu = false;
    void* before_gelu = nullptr;

    bool has_epilogue() const { return addend != nullptr || gelu; }
};

// A call of the kernel table as a problem without epilogue; c must not be empty.
GemmProblem gemm_problem(const MatmulArgs& args);

// Our own kernel, gemm_tiled.cu: any problem, plain, the reference for faster ones. Row i of c
// depends on row i of a alone, bit for bit.
void gemm_tiled(CudaDevice& device, const GemmProblem& problem);

// By cuBLASLt (gemm_cublas.h) where it is installed and knows the problem, else gemm_tiled.
void gemm(CudaDevice& device, const GemmProblem& problem);

}  // namespace vila::cuda
