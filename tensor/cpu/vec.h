#pragma once

// Vector registers as values, for the few kernels that plain loops under with_isa
// (tensor/cpu/simd.h) cannot express: Vec<16> is one AVX-512 register of floats, Vec<8> one of
// AVX2, Vec<4> one of the baseline (SSE2, NEON). They are the compiler's own vector types: a * b +
// c is one FMA if the processor has it, and a < b ? x : y selects by lane.
//
// with_lanes(isa, body) calls body(lanes) with the width of that level as a constant:
//
//     with_lanes(device.isa(), [&](auto lanes) { kernel<lanes>(...); });
//
// As under with_isa, every function that the body calls must be inlined into it: mark it
// VILA_ALWAYS_INLINE.

#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tensor/cpu/simd.h"
#include "tensor/dtype.h"

namespace vila::cpu_kernels {

// (A member typedef, as GCC drops vector_size from dependent alias templates.)
template <typename T, int kLanes>
struct VecOf {
    typedef T type __attribute__((vector_size(kLanes * sizeof(T))));
};
template <int kLanes>
using Vec = typename VecOf<float, kLanes>::type;
template <int kLanes>
using IntVec = typename VecOf<int32_t, kLanes>::type;

template <typename Body>
void with_lanes([[maybe_unused]] Isa isa, const Body& body) {
#if defined(__x86_64__)
    if (isa >= Isa::Avx512) return run_avx512([&] { body(std::integral_constant<int, 16>{}); });
    if (isa == Isa::Avx2) return run_avx2([&] { body(std::integral_constant<int, 8>{}); });
#endif
    body(std::integral_constant<int, 4>{});
}

// A vector with `value` in every lane. Use this function instead of mixing vectors and run-time
// scalars: GCC builds such vectors one lane at a time where the width is not native, and decides so
// before the body is inlined into code for the wider level. This array becomes one broadcast
// instruction.
template <typename T, int kLanes>
VILA_ALWAYS_INLINE typename VecOf<T, kLanes>::type broadcast(T value) {
    T lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = value;
    typename VecOf<T, kLanes>::type x;
    std::memcpy(&x, lanes, sizeof(x));
    return x;
}
template <int kLanes>
VILA_ALWAYS_INLINE Vec<kLanes> broadcast(float value) {
    return broadcast<float, kLanes>(value);
}

template <int kLanes>
VILA_ALWAYS_INLINE Vec<kLanes> load(const float* from) {
    Vec<kLanes> x;
    std::memcpy(&x, from, sizeof(x));
    return x;
}
template <int kLanes>
VILA_ALWAYS_INLINE Vec<kLanes> load(const BFloat16* from) {
    uint32_t bits[kLanes];  // an array for the same reason as in broadcast()
    for (int i = 0; i < kLanes; ++i) bits[i] = uint32_t{from[i].bits} << 16;
    Vec<kLanes> x;
    std::memcpy(&x, bits, sizeof(x));
    return x;
}

template <int kLanes>
VILA_ALWAYS_INLINE void store(float* to, Vec<kLanes> x) {
    std::memcpy(to, &x, sizeof(x));
}
// Rounds to nearest, ties to even, as BFloat16(float) does.
template <int kLanes>
VILA_ALWAYS_INLINE void store(BFloat16* to, Vec<kLanes> x) {
    using Wide = typename VecOf<uint32_t, kLanes>::type;
    const auto u = std::bit_cast<Wide>(x);
    const Wide rounded = (u + 0x7fffU + ((u >> 16) & 1U)) >> 16, nan = (u >> 16) | 0x0040U;
    const Wide chosen = (u & 0x7fffffffU) > 0x7f800000U ? nan : rounded;
    const auto bits = __builtin_convertvector(chosen, typename VecOf<uint16_t, kLanes>::type);
    std::memcpy(static_cast<void*>(to), &bits, sizeof(bits));
}

// 0, 1, 2, ...
template <int kLanes>
VILA_ALWAYS_INLINE IntVec<kLanes> lane_numbers() {
    return [&]<int... kLane>(std::integer_sequence<int, kLane...>) {
        return IntVec<kLanes>{kLane...};
    }
    (std::make_integer_sequence<int, kLanes>{});
}

// x in the first `count` lanes, `elsewhere` in the others.
template <int kLanes>
VILA_ALWAYS_INLINE Vec<kLanes> first_lanes(Vec<kLanes> x, int count, float elsewhere) {
    return lane_numbers<kLanes>() < broadcast<int32_t, kLanes>(count)
               ? x
               : broadcast<kLanes>(elsewhere);
}

template <int kLanes>
VILA_ALWAYS_INLINE Vec<kLanes> larger(Vec<kLanes> a, Vec<kLanes> b) {
    return a > b ? a : b;
}

namespace detail {

// x with lanes exchanged: lane i holds x[i ^ kDistance].
template <int kLanes, int kDistance>
VILA_ALWAYS_INLINE Vec<kLanes> exchanged(Vec<kLanes> x) {
    return [x]<int... kLane>(std::integer_sequence<int, kLane...>) {
        return __builtin_shufflevector(x, x, (kLane ^ kDistance)...);
    }
    (std::make_integer_sequence<int, kLanes>{});
}

}  // namespace detail

// Reductions over the lanes, pairwise, in an order that depends on kLanes only.
template <int kLanes, int kDistance = kLanes / 2>
VILA_ALWAYS_INLINE float sum_lanes(Vec<kLanes> x) {
    if constexpr (kDistance == 0) {
        return x[0];
    } else {
        return sum_lanes<kLanes, kDistance / 2>(x + detail::exchanged<kLanes, kDistance>(x));
    }
}
template <int kLanes, int kDistance = kLanes / 2>
VILA_ALWAYS_INLINE float largest_lane(Vec<kLanes> x) {
    if constexpr (kDistance == 0) {
        return x[0];
    } else {
        return largest_lane<kLanes, kDistance / 2>(
            larger<kLanes>(x, detail::exchanged<kLanes, kDistance>(x)));
    }
}

// 2^x for x < 128, to 2e-7 relative; exactly 0 below -126 (no denormals), also for -inf.
template <int kLanes>
VILA_ALWAYS_INLINE Vec<kLanes> exp2(Vec<kLanes> x) {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa.
    constexpr float kRound = 0x1.8p23F, kSmallest = -126.0F;
    const Vec<kLanes> clamped = larger<kLanes>(x, broadcast<kLanes>(kSmallest));
    const Vec<kLanes> shifted = clamped + kRound;
    const Vec<kLanes> r = clamped - (shifted - kRound);
    // 2^r on |r| <= 1/2, a minimax fit.
    Vec<kLanes> p = r * 1.326472731307149e-3F + 9.671512991189957e-3F;
    p = p * r + 5.550733581185341e-2F;
    p = p * r + 2.4022242426872253e-1F;
    p = p * r + 6.931470036506653e-1F;
    p = p * r + 1.0F;
    // Shifting moves the integer to the place of the exponent; the rest of kRound is shifted out.
    const auto bits =
        std::bit_cast<IntVec<kLanes>>(p) + (std::bit_cast<IntVec<kLanes>>(shifted) << 23);
    return x < kSmallest ? Vec<kLanes>{} : std::bit_cast<Vec<kLanes>>(bits);
}

// One step of a transposition: exchanges the off-diagonal kBlock x kBlock blocks of rows
// [r, r + kBlock) against those of rows [r + kBlock, r + 2 kBlock), all along the columns.
template <int kLanes, int kBlock>
VILA_ALWAYS_INLINE void exchange_blocks(Vec<kLanes>& low, Vec<kLanes>& high) {
    [&low, &high ]<int... kLane>(std::integer_sequence<int, kLane...>) {
        const Vec<kLanes> a = low, b = high;
        low =
            __builtin_shufflevector(a, b, ((kLane & kBlock) ? kLanes + kLane - kBlock : kLane)...);
        high =
            __builtin_shufflevector(a, b, ((kLane & kBlock) ? kLanes + kLane : kLane + kBlock)...);
    }
    (std::make_integer_sequence<int, kLanes>{});
}

// Transposes the kLanes x kLanes matrix in x in place.
template <int kLanes, int kBlock = kLanes / 2>
VILA_ALWAYS_INLINE void transpose(Vec<kLanes> (&x)[kLanes]) {
    if constexpr (kBlock > 0) {
#pragma GCC unroll 16
        for (int row = 0; row < kLanes; ++row)
            if ((row & kBlock) == 0) exchange_blocks<kLanes, kBlock>(x[row], x[row + kBlock]);
        transpose<kLanes, kBlock / 2>(x);
    }
}

}  // namespace vila::cpu_kernels
