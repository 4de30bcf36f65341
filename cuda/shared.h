#pragma once

// Dynamic shared memory as a struct that all threads of a block see; the launch passes its size.
// The kernels use no other form of shared memory.
//
//   struct Tile { float a[32][33], b[32][33]; };
//   __global__ void kernel(...) { Tile& tile = shared_memory<Tile>(); ... }
//   launch(device, kernel, grid, block, sizeof(Tile), ...);

#include "cuda/runtime.h"

namespace vila::cuda {

extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];

template <typename T>
__device__ inline T& shared_memory() {
    return *reinterpret_cast<T*>(dynamic_shared_memory);
}

// Shared memory as an array, for kernels whose size depends on a run-time width.
template <typename T>
__device__ inline T* shared_array() {
    return reinterpret_cast<T*>(dynamic_shared_memory);
}

}  // namespace vila::cuda
