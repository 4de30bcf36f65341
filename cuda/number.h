#pragma once

// Element types in kernels: widen() converts a loaded element to the type in which kernels compute
// (compute_t), narrow() converts a result to the element type that is stored.

#include <cstdint>
#include <cstring>

#include "cuda/runtime.h"
#include "tensor/dispatch.h"

namespace vila::cuda {

__device__ inline float widen(float x) {
    return x;
}
__device__ inline double widen(double x) {
    return x;
}
__device__ inline float widen(BFloat16 x) {
    return __uint_as_float(static_cast<unsigned int>(x.bits) << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN. Gives the bits of BFloat16(float) on the host.
__device__ inline BFloat16 round_to_bf16(float x) {
    const unsigned int bits = __float_as_uint(x);
    BFloat16 y;
    if ((bits & 0x7fffffffU) > 0x7f800000U) {
        y.bits = static_cast<uint16_t>((bits >> 16) | 0x0040U);
    } else {
        y.bits = static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
    }
    return y;
}

template <typename T, typename Compute>
__device__ inline T narrow(Compute x) {
    if constexpr (std::is_same_v<T, BFloat16>) {
        return round_to_bf16(static_cast<float>(x));
    } else {
        return static_cast<T>(x);
    }
}

}  // namespace vila::cuda
