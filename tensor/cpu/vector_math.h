#pragma once

// Transcendental functions that vectorize: straight-line float code without branches or tables, to
// be called from plain loops under with_isa (tensor/cpu/simd.h). The double overloads are the
// standard library's and serve the f64 specification.
//
//   function      worst error, float             range
//   exp           1e-7 relative                  inf above 88.72, denormals kept, 0 below -103.97
//   tanh          2e-7 relative                  all
//   sigmoid       2e-7 relative                  x > -87; flushes to 0 between there and -89
//   normal_pdf    4e-7 relative                  |x| < 4; beyond, the error grows with x^2 (the
//                                                rounding of x^2 / 2)
//   normal_cdf    6e-7 relative, 3e-7 absolute   relative above -2, for the same reason
//
// NaN gives NaN. Selections are written as integer masks: compilers turn float conditionals on
// constants into branches, and a loop with branches is not vectorized. The polynomials are minimax
// fits (Remez exchange) of the expressions named beside them. The errors were measured over the
// float range by tests/tensor/cpu_vector_math.cpp.

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "tensor/cpu/simd.h"

namespace vila::cpu_kernels::vector_math {

namespace detail {

// Conversions between a float and its bits.
VILA_ALWAYS_INLINE uint32_t to_bits(float x) {
    return std::bit_cast<uint32_t>(x);
}
VILA_ALWAYS_INLINE float from_bits(uint32_t bits) {
    return std::bit_cast<float>(bits);
}
// All bits set if x is negative (or -0), else zero.
VILA_ALWAYS_INLINE uint32_t negative_mask(float x) {
    return static_cast<uint32_t>(static_cast<int32_t>(to_bits(x)) >> 31);
}
VILA_ALWAYS_INLINE float select(uint32_t mask, float where_set, float elsewhere) {
    return from_bits((to_bits(where_set) & mask) | (to_bits(elsewhere) & ~mask));
}
// min(x, limit) in magnitude, for x >= 0; NaN becomes the limit.
VILA_ALWAYS_INLINE float limit_positive(float x, float limit) {
    const uint32_t bits = to_bits(x), most = to_bits(limit);
    return from_bits(bits < most ? bits : most);
}
// `result`, or x where x is NaN.
VILA_ALWAYS_INLINE float keep_nan(float x, float result) {
    const uint32_t magnitude = to_bits(x) & 0x7fffffffU;
    const auto is_nan = static_cast<uint32_t>(static_cast<int32_t>(0x7f800000U - magnitude) >> 31);
    return select(is_nan, x, result);
}

// x = n ln 2 + r with |r| <= ln 2 / 2: e^x = 2^n (1 + em1) with em1 = e^r - 1.
struct ExpParts {
    int32_t n;
    float em1;
};

VILA_ALWAYS_INLINE ExpParts exp_parts(float x) {
    constexpr float kLog2E = std::numbers::log2e_v<float>;
    // ln 2 in two pieces; the first has nine trailing zero bits, so n * kLn2High is exact.
    constexpr float kLn2High = 0x1.62e4p-1F, kLn2Low = 0x1.7f7d1cp-20F;
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    constexpr float kRound = 0x1.8p23F;
    const float shifted = x * kLog2E + kRound;
    const float n = shifted - kRound;
    const float r = (x - n * kLn2High) - n * kLn2Low;
    // (e^r - 1 - r) / r^2 on |r| <= 0.35.
    float p = 1.38131613e-3F;
    p = p * r + 8.36941898e-3F;
    p = p * r + 4.16684565e-2F;
    p = p * r + 1.66665148e-1F;
    p = p * r + 4.99999931e-1F;
    return {std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound), r + r * r * p};
}

// 2^n for -127 < n < 128.
VILA_ALWAYS_INLINE float power_of_two(int32_t n) {
    return std::bit_cast<float>((n + 127) << 23);
}

}  // namespace detail

VILA_ALWAYS_INLINE float exp(float x) {
    // From |x| = 105 on, the result is 0 or infinity anyway.
    const float limited = std::copysign(detail::limit_positive(std::fabs(x), 105.0F), x);
    const auto [n, em1] = detail::exp_parts(limited);
    // In two factors, as 2^n alone may be out of range.
    const int32_t half = n >> 1;
    const float y = (em1 + 1.0F) * detail::power_of_two(half) * detail::power_of_two(n - half);
    return detail::keep_nan(x, y);
}

VILA_ALWAYS_INLINE float tanh(float x) {
    // tanh rounds to 1 above 9.02.
    const float magnitude = detail::limit_positive(std::fabs(x), 10.0F);
    const auto [n, em1] = detail::exp_parts(2.0F * magnitude);
    const float scale = detail::power_of_two(n);
    const float expm1 = em1 * scale + (scale - 1.0F);
    return detail::keep_nan(x, std::copysign(expm1 / (expm1 + 2.0F), x));
}

// 1 / (1 + e^-x).
VILA_ALWAYS_INLINE float sigmoid(float x) {
    return 1.0F / (1.0F + vector_math::exp(-x));
}

// The standard normal density e^(-x^2/2) / sqrt(2 pi).
VILA_ALWAYS_INLINE float normal_pdf(float x) {
    constexpr float kInvSqrt2Pi = 0.398942280F;
    return kInvSqrt2Pi * vector_math::exp(-0.5F * x * x);
}

// The standard normal distribution function Phi(x) = (1 + erf(x / sqrt 2)) / 2.
VILA_ALWAYS_INLINE float normal_cdf(float x) {
    constexpr float kScale = 0.4F * 0.707106781F;
    const float t = 1.0F / (1.0F + kScale * std::fabs(x));
    // e^(z^2) erfc(z) / (2 t) with z = (1/t - 1) / 0.4, on 0 <= z <= 10.5.
    float q = 2.10595985e-2F;
    q = q * t - 7.22773128e-2F;
    q = q * t + 4.63946073e-2F;
    q = q * t + 3.89189965e-2F;
    q = q * t + 4.33950972e-2F;
    q = q * t + 9.51908457e-2F;
    q = q * t + 1.01330758e-1F;
    q = q * t + 1.13167125e-1F;
    q = q * t + 1.12820318e-1F;
    const float tail = q * t * vector_math::exp(-0.5F * x * x);  // Phi(-|x|)
    return detail::select(detail::negative_mask(x), tail, 1.0F - tail);
}

inline double exp(double x) {
    return std::exp(x);
}
inline double tanh(double x) {
    return std::tanh(x);
}
inline double sigmoid(double x) {
    return 1.0 / (1.0 + std::exp(-x));
}
inline double normal_pdf(double x) {
    return std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
}
inline double normal_cdf(double x) {
    return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

}  // namespace vila::cpu_kernels::vector_math
