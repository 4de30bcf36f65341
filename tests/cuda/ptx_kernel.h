#pragma once

// Kernels that use each function of cuda/ptx.h, for tests of the register layouts.

#include "cuda/cuda_device.h"
#include "tensor/tensor.h"

namespace vila::testing {

// c (16, 16) f32 += a (16, 16) b (16, 16), or a b^T with `transposed`; a and b are bf16. One warp
// copies a and b to shared memory, loads the fragments and computes two products. Row 15 of a is
// copied as zeros. copied (16, 16) bf16 receives a as it arrived in shared memory.
void multiply_with_ptx(cuda::CudaDevice& device, const Tensor& a, const Tensor& b, bool transposed,
                       const Tensor& c, const Tensor& copied);

// packed (n) bf16 = x (n) f32 rounded, two elements per thread; n is even and at most 1024.
void pack_with_ptx(cuda::CudaDevice& device, const Tensor& x, const Tensor& packed);

}  // namespace vila::testing
