#pragma once

// Matrix products on the GPU: c = alpha * a b [+ c] [+ bias], batched, and what follows them.

#include <cstdint>

#include "cuda/cuda_device.h"
#include "tensor/gemm_problem.h"
#include "tensor/kernels.h"
#include "tensor/shape.h"

namespace vila::cuda {

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

// A batch of products, and the epilogue that cuBLASLt can fuse with them. a and b are f32 or bf16
// (they may differ) and c is f32 or bf16; or all of them are f64, or c alone is f32.
//
// gemm_tiled has no epilogue; check has_epilogue() before calling it. The epilogue adds `residual`,
// which is laid out like c; then it sets c = gelu(c) in its tanh form. pre_activation, laid out
// like c too, receives the argument of GELU unless it is null.
struct BatchedGemm : GemmProblem {
    BatchAxes batch = {};
    const void* residual = nullptr;
    bool gelu = false;
    void* pre_activation = nullptr;

    bool has_epilogue() const { return residual != nullptr || gelu; }
};

// A call of the kernel table as a problem without epilogue; c must not be empty.
BatchedGemm gemm_problem(const MatmulArgs& args);

// Our own kernel, gemm_tiled.cu: any problem, plain, the reference for faster ones. Row i of c
// depends on row i of a alone, bit for bit.
void gemm_tiled(CudaDevice& device, const BatchedGemm& problem);

// By cuBLASLt (gemm_cublas.h) where it is installed and knows the problem, else gemm_tiled.
void gemm(CudaDevice& device, const BatchedGemm& problem);

}  // namespace vila::cuda
