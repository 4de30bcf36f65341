// Whether this program holds code for the GPU at hand: asked of a kernel that does nothing.

#include "cuda/kernels.h"
#include "cuda/runtime.h"

namespace vila::cuda {

namespace {

__global__ void nothing_kernel() {}

}  // namespace

bool has_kernel_image() {
    cudaFuncAttributes attributes = {};
    if (cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(nothing_kernel)) ==
        cudaSuccess)
        return true;
    static_cast<void>(cudaGetLastError());  // forgets the error
    return false;
}

}  // namespace vila::cuda
