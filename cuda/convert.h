#pragma once

// Conversion between any two element types, including f16.

#include "cuda/number.h"

namespace vila::cuda {

// Exact. A multiplication adjusts the exponent's bias; it also normalizes subnormals.
__device__ inline float from_half(Float16 x) {
    unsigned int bits = (x.bits & 0x7fffU) << 13;
    if ((x.bits & 0x7c00U) == 0x7c00U) {
        bits |= 0x7f800000U;  // infinity or NaN
    } else {
        bits = __float_as_uint(__uint_as_float(bits) * 0x1p112F);
    }
    return __uint_as_float(bits | (x.bits & 0x8000U) << 16);
}

// Rounds to nearest, ties to even.
__device__ inline Float16 to_half(float x) {
    const unsigned int bits = __float_as_uint(x), sign = bits >> 16 & 0x8000U;
    const unsigned int size = bits & 0x7fffffffU;
    unsigned int half = 0;
    if (size > 0x7f800000U) {
        half = 0x7e00U;  // NaN
    } else if (size >= 0x47800000U) {
        half = 0x7c00U;  // 65536 and more: infinity
    } else if (size < 0x38800000U) {
        // Below the smallest normal f16: adding 1/2 shifts the subnormal's digits to the lowest
        // bits.
        half = __float_as_uint(__uint_as_float(size) + 0.5F) - __float_as_uint(0.5F);
    } else {
        half = (size + 0xfffU + (size >> 13 & 1U) - (112U << 23)) >> 13;
    }
    Float16 y;
    y.bits = static_cast<uint16_t>(half | sign);
    return y;
}

template <typename To, typename From>
__device__ inline To convert(From x) {
    if constexpr (std::is_same_v<To, From>) {
        return x;
    } else if constexpr (std::is_same_v<From, BFloat16>) {
        return convert<To>(widen(x));
    } else if constexpr (std::is_same_v<From, Float16>) {
        return convert<To>(from_half(x));
    } else if constexpr (std::is_same_v<To, BFloat16>) {
        return round_to_bf16(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, Float16>) {
        return to_half(static_cast<float>(x));
    } else {
        return static_cast<To>(x);
    }
}

}  // namespace vila::cuda
