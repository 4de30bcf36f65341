#pragma once

// for_elements: one thread per element, for operators that compute each element on its own. An
// operator is a struct with pointers to its tensors and `__device__ void operator()(int64_t i)
// const`, which computes element i.

#include <algorithm>

#include "cuda/launch.h"
#include "cuda/number.h"

namespace vila::cuda {

// The most threads per block: few enough that the blocks of a small tensor spread over the GPU.
constexpr int64_t kElementsPerBlock = 256;

template <typename Op>
__global__ void elements_kernel(int64_t count, Op op) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) op(i);
}

template <typename Op>
void for_elements(CudaDevice& device, int64_t count, const Op& op) {
    const int64_t block = std::min(kElementsPerBlock, ceil_div(count, kWarp) * kWarp);
    if (count == 0) return;
    launch(device, elements_kernel<Op>, {ceil_div(count, block)}, {block}, 0, count, op);
}

}  // namespace vila::cuda
