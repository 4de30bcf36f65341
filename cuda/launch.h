#pragma once

// How kernels are started. launch() is CUDA's `kernel<<<...>>>` as a function call, which plain C++
// compilers understand too: the emulation in tests/ compiles the kernels of this folder unchanged.

#include <cstdint>

#include "cuda/cuda_device.h"
#include "cuda/runtime.h"
#include "tensor/int_math.h"
#include "tensor/tensor.h"

namespace vila::cuda {

// The GPU that holds a tensor.
inline CudaDevice& device_of(const Tensor& tensor) {
    return static_cast<CudaDevice&>(tensor.device());
}

// Lanes of a warp, and the mask that names all of them.
constexpr int kWarp = 32;
constexpr unsigned int kAllLanes = 0xffffffffU;

// Up to three extents of a grid or block.
struct Extent {
    int64_t x = 1, y = 1, z = 1;
};

// Shared memory that every kernel may use; more must be asked for.
constexpr size_t kSharedWithoutAsking = 48 << 10;

// Starts `kernel` on the device's stream with `shared` bytes of dynamic shared memory; a grid
// without blocks starts nothing.
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
    if (shared > kSharedWithoutAsking)
        VILA_CUDA_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(shared)));
    VILA_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, arguments...));
    device.launched();
}

}  // namespace vila::cuda
