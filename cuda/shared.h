#pragma once

// Shared memory, in one form only: a struct that the whole block sees, whose size the launch gives.
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

// The same as an array, for blocks whose shared memory depends on a width.
template <typename T>
__device__ inline T* shared_array() {
    return reinterpret_cast<T*>(dynamic_shared_memory);
}

}  // namespace vila::cuda
