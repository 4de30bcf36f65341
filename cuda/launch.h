#pragma once

// launch(): CUDA's `kernel<<<...>>>` as a function call. C++ compilers accept it too, so the
// emulation in tests/ compiles the kernels of this folder unchanged.

#include <cstdint>

#include "cuda/cuda_device.h"
#include "cuda/runtime.h"
#include "tensor/int_math.h"
#include "tensor/tensor.h"

namespace vila::cuda {

// The CudaDevice of a tensor, which must be on one.
inline CudaDevice& device_of(const Tensor& tensor) {
    return static_cast<CudaDevice&>(tensor.device());
}

// The number of lanes of a warp, and the mask of all of them.
constexpr int kWarp = 32;
constexpr unsigned int kAllLanes = 0xffffffffU;

// The extents of a grid or block.
struct Extent {
    int64_t x = 1, y = 1, z = 1;
};

// The dynamic shared memory that a kernel can use by default; more needs an attribute.
constexpr size_t kDefaultSharedBytes = 48 << 10;

// Launches `kernel` on the device's stream with `shared` bytes of dynamic shared memory. Does
// nothing for a grid without blocks.
template <typename... Parameters, typename... Arguments>
void launch(CudaDevice& device, void (*kernel)(Parameters...), const Extent& grid,
            const Extent& block, size_t shared, const Arguments&... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    const auto extent = [](const Extent& e) {
        return dim3(static_cast<unsigned int>(e.x), static_cast<unsigned int>(e.y),
                    static_cast<unsigned int>(e.z));
    };
    cudaLaunchConfig_t config = {};
    config.gridDim = extent(grid);
    config.blockDim = extent(block);
    config.dynamicSmemBytes = shared;
    config.stream = device.stream();
    device.make_current();
    if (shared > kDefaultSharedBytes)
        VILA_CUDA_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(shared)));
    VILA_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, arguments...));
    device.launched();
}

}  // namespace vila::cuda
