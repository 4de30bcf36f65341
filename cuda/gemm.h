#pragma once

// Matrix products on the GPU: c = alpha * a b [+ c] [+ bias], batched, with an optional epilogue.

#include <cstdint>

#include "cuda/cuda_device.h"
#include "tensor/gemm_problem.h"
#include "tensor/kernels.h"
#include "tensor/shape.h"

namespace vila::cuda {

// The axes of a batch, innermost first, with the strides of a, b and c along them.
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

// A batch of products, and the epilogue that cuBLASLt can fuse with them. Either a and b are f32 or
// bf16 (they may differ) and c is f32 or bf16; or a and b are f64 and c is f64 or f32.
//
// gemm_tiled has no epilogue; check has_epilogue() before calling it. The epilogue adds `residual`,
// which is laid out like c; then, if `gelu` is set, it replaces c by gelu(c) in the tanh form.
// pre_activation, also laid out like c, receives the argument of GELU unless it is null.
struct BatchedGemm : GemmProblem {
    BatchAxes batch = {};
    const void* residual = nullptr;
    bool gelu = false;
    void* pre_activation = nullptr;

    bool has_epilogue() const { return residual != nullptr || gelu; }
};

// Converts the arguments of matmul, without its epilogue. c must not be empty.
BatchedGemm gemm_problem(const MatmulArgs& args);

// Computes any problem without epilogue with the kernel of gemm_tiled.cu, the reference for faster
// ones. The bits of row i of c depend on row i of a and on b alone.
void gemm_tiled(CudaDevice& device, const BatchedGemm& problem);

// Computes the problem with cuBLASLt (gemm_cublas.h) if it is installed and supports the problem,
// else with gemm_tiled.
void gemm(CudaDevice& device, const BatchedGemm& problem);

}  // namespace vila::cuda
