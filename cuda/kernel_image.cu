// Checks for code for the current GPU in this binary by querying an empty kernel.

#include "cuda/kernels.h"
#include "cuda/runtime.h"

namespace vila::cuda {

namespace {

__global__ void empty_kernel() {}

}  // namespace

bool has_kernel_image() {
    cudaFuncAttributes attributes = {};
    if (cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(empty_kernel)) ==
        cudaSuccess)
        return true;
    static_cast<void>(cudaGetLastError());  // clears the error
    return false;
}

}  // namespace vila::cuda
