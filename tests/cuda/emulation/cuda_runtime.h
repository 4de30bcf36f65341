#pragma once

// CUDA without a GPU: found in place of the toolkit's <cuda_runtime.h>, it lets the files of cuda/
// compile as plain C++ and run on the processor, one block after another, each thread a fiber.
// What is here is what those files use, no more:
//
//   launch.h    built-in variables, launches, and the scheduler behind them
//   warp.h      barriers, shuffles, votes, atomics
//   cuda_ptx.h  tensor cores and asynchronous copies, in place of cuda/ptx.h
//   memory.h    device memory, copies, errors
//   stream.h    streams and events
//   graph.h     launches that are recorded and done again
//   device.h    what the emulated GPU says of itself, and how tests break it
//
// The emulation is stricter than a GPU. A launch throws vila::Error when threads meet different
// barriers, when a thread ends while others wait for it, when a lane named in a mask does not come,
// or when shared memory is written beyond what the launch asked for. Device and shared memory start
// as NaN. A missing barrier shows when threads run in another order (ThreadOrder) and other bits
// come out.
//
// What it cannot show: the memory model between blocks, fast-math bits, registers, timing.

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/cuda/emulation/device.h"
#include "tests/cuda/emulation/launch.h"
#include "tests/cuda/emulation/memory.h"
#include "tests/cuda/emulation/warp.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
// All shared memory is the launch's dynamic one, declared once in cuda/shared.h.
#define __shared__
#define __align__(bytes) __attribute__((aligned(bytes)))

inline float __uint_as_float(unsigned int bits) {
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}
inline unsigned int __float_as_uint(float value) {
    unsigned int bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}
inline int __ffs(int bits) {
    return __builtin_ffs(bits);
}
inline int __popc(unsigned int bits) {
    return __builtin_popcount(bits);
}
