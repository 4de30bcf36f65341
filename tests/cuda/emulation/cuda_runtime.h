#pragma once

// CUDA without a GPU. This header replaces the toolkit's <cuda_runtime.h>, so that the files of
// cuda/ compile as plain C++ and run on the CPU: one block after another, each thread a fiber. It
// has only the part of CUDA that those files use:
//
//   launch.h    built-in variables, launches, and the scheduler that runs them
//   warp.h      barriers, shuffles, votes, atomics
//   cuda_ptx.h  tensor cores and asynchronous copies, in place of cuda/ptx.h
//   memory.h    device memory, copies, errors
//   stream.h    streams and events
//   graph.h     launches that are recorded and replayed
//   device.h    the properties of the emulated GPU, and the failures that tests can set
//
// The emulation is stricter than a GPU. A launch throws vila::Error when threads wait at different
// barriers, when a thread ends while others wait for it, when a lane of a mask does not take part
// in the operation, or when a kernel writes past the shared memory of its launch. Device and shared
// memory start as NaN. Tests detect a missing barrier because the bits of the result then depend on
// the order in which threads run (ThreadOrder).
//
// It does not model the memory order between blocks, the bits of fast-math functions, the use of
// registers, or timing.

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
// All shared memory is dynamic and is declared once, in cuda/shared.h.
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
