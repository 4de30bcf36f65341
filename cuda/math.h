#pragma once

// Mathematical functions, overloaded for float and double. The float ones are CUDA's accurate
// versions (within 2 units in the last place), not the fast intrinsics.

#include "cuda/runtime.h"

namespace vila::cuda::math {

__device__ inline float exp(float x) {
    return expf(x);
}
__device__ inline double exp(double x) {
    return ::exp(x);
}
__device__ inline float log(float x) {
    return logf(x);
}
__device__ inline double log(double x) {
    return ::log(x);
}
__device__ inline float sqrt(float x) {
    return sqrtf(x);
}
__device__ inline double sqrt(double x) {
    return ::sqrt(x);
}
__device__ inline float tanh(float x) {
    return tanhf(x);
}
__device__ inline double tanh(double x) {
    return ::tanh(x);
}
__device__ inline float erfc(float x) {
    return erfcf(x);
}
__device__ inline double erfc(double x) {
    return ::erfc(x);
}

template <typename Compute>
__device__ inline Compute sigmoid(Compute x) {
    return 1 / (1 + exp(-x));
}

// The cumulative distribution function and the density of the standard normal distribution.
template <typename Compute>
__device__ inline Compute normal_cdf(Compute x) {
    constexpr auto kInverseSqrt2 = static_cast<Compute>(0.70710678118654752440);
    return static_cast<Compute>(0.5) * erfc(-x * kInverseSqrt2);
}
template <typename Compute>
__device__ inline Compute normal_pdf(Compute x) {
    constexpr auto kInverseSqrt2Pi = static_cast<Compute>(0.39894228040143267794);
    return kInverseSqrt2Pi * exp(static_cast<Compute>(-0.5) * x * x);
}

}  // namespace vila::cuda::math
