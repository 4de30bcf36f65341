#pragma once

// A kernel that uses each function of cuda/ptx.h once, for tests of their layouts.

#include "cuda/cuda_device.h"
#include "tensor/tensor.h"

namespace vila::testing {

// c (16, 16) f32 += a (16, 16) b (16, 16), or a b^T with `transposed`; a and b bf16. One warp:
// copies to shared memory, matrix loads, two products. Row 15 of a is asked for as zeros. copied
// (16, 16) bf16: what the copies of a brought.
void multiply_with_ptx(cuda::CudaDevice& device, const Tensor& a, const Tensor& b, bool transposed,
                       const Tensor& c, const Tensor& copied);

// packed (n) bf16 = x (n) f32 rounded, two at a time; n even, at most 1024.
void pack_with_ptx(cuda::CudaDevice& device, const Tensor& x, const Tensor& packed);

}  // namespace vila::testing
