// The AVX512-BF16 kernels of gemm: those of avx512.cpp and avx512_skinny.cpp with the dot product
// of bf16 pairs (vdpbf16ps: two products, each exact, added to an f32 lane) in place of the
// multiply-add. What GemmTile calls a float of a or b is a VNNI pair here. Everything else is
// shared with AVX-512.

#include "tensor/cpu/gemm/avx512.h"

#if defined(__x86_64__)

#include <array>
#include <cstring>

namespace vila::cpu_kernels {

namespace {

using namespace avx512;

constexpr int kRowGroup = 3;  // rows per address register, as in avx512.cpp
constexpr int kGroups = (kMr + kRowGroup - 1) / kRowGroup;

// Two bf16 side by side, aligned to 2 bytes only.
using Pair = int32_t __attribute__((may_alias, aligned(2)));
constexpr int64_t kPairBytes = sizeof(Pair);

VILA_TARGET_AVX512_BF16 VILA_ALWAYS_INLINE __m512 add_dot(__m512 sum, __m512i x, __m512i y) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y));
}

VILA_TARGET_AVX512_BF16 VILA_ALWAYS_INLINE __m512i broadcast(const Pair* pair) {
    int32_t bits = 0;
    std::memcpy(&bits, pair, sizeof bits);
    return _mm512_set1_epi32(bits);
}

template <int kCount>
VILA_TARGET_AVX512_BF16 void tile(const GemmTile& t) {
    __m512 sums[kCount][2];
    const Pair* a[kGroups];
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
        sums[i][0] = sums[i][1] = _mm512_setzero_ps();
        a[i / kRowGroup] =
            reinterpret_cast<const Pair*>(t.a) + i / kRowGroup * kRowGroup * t.a_row_stride;
        _mm_prefetch(t.c + i * t.c_row_stride, _MM_HINT_T0);
        _mm_prefetch(t.c + i * t.c_row_stride + kNr - 1, _MM_HINT_T0);
    }
    const float* b = t.b;
    for (int64_t p = t.k; p > 0; --p) {
        const __m512i b_0 = _mm512_loadu_si512(b), b_1 = _mm512_loadu_si512(b + kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < kCount; ++i) {
            const __m512i a_i = broadcast(a[i / kRowGroup] + i % kRowGroup * t.a_row_stride);
            sums[i][0] = add_dot(sums[i][0], a_i, b_0);
            sums[i][1] = add_dot(sums[i][1], a_i, b_1);
        }
        b += kNr;
#pragma GCC unroll 5
        for (int group = 0; group * kRowGroup < kCount; ++group) a[group] += t.a_k_stride;
    }
    store_tile<kCount>(t, sums);
}

constexpr std::array<void (*)(const GemmTile&), kMr> kTiles = {
    tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>,  tile<6>,  tile<7>,
    tile<8>, tile<9>, tile<10>, tile<11>, tile<12>, tile<13>, tile<14>};

template <int kCount>
VILA_TARGET_AVX512_BF16 VILA_ALWAYS_INLINE void add_product(const Pair* a, int64_t a_row_stride,
                                                            __m512i b, __m512* sums) {
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r)
        sums[2 * r] = add_dot(sums[2 * r], broadcast(a + r * a_row_stride), b);
}

// Like skinny_block_f32 in avx512_skinny.cpp with pairs instead of floats, but with both halves of
// the columns side by side.
template <int kCount>
VILA_TARGET_AVX512_BF16 void skinny(const SkinnyPanel& s) {
    const GemmTile& t = s.tile;
    __m512 sums[kCount][2];
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    const auto* a = reinterpret_cast<const Pair*>(t.a);
    const int64_t whole = t.k / kLanes * kLanes;
    const char* ahead = nullptr;
    for (int64_t p = 0; p < whole; p += kLanes) {
        const int64_t at = p * kPairBytes, line = p / kLanes % kAheadLines;
        if (line == 0) ahead = next_chunk(s, at, whole * kPairBytes);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            prefetch_share(ahead, s.column_bytes, line, half);
            __m512 square[kLanes];
            load_words(s, at, half, square);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i)
                add_product<kCount>(a + p + i, t.a_row_stride, _mm512_castps_si512(square[i]),
                                    &sums[0][half]);
        }
    }
    for (int64_t p = whole; p < t.k; ++p) {
        alignas(64) int32_t b[kNr] = {};
        for (int64_t j = 0; j < s.columns; ++j)
            std::memcpy(b + j, static_cast<const char*>(s.b) + j * s.column_bytes + p * kPairBytes,
                        kPairBytes);  // may be unaligned
        for (int half = 0; half < 2; ++half)
            add_product<kCount>(a + p, t.a_row_stride, _mm512_load_si512(b + half * kLanes),
                                &sums[0][half]);
    }
    store_tile<kCount>(t, sums);
}

constexpr std::array<void (*)(const SkinnyPanel&), kVectorSkinnyRows> kSkinny = {
    over_k_blocks<skinny<1>>, over_k_blocks<skinny<2>>, over_k_blocks<skinny<3>>,
    over_k_blocks<skinny<4>>};

}  // namespace

GemmKernels gemm_kernels_avx512_bf16() {
    GemmKernels kernels = gemm_kernels_avx512();
    kernels.vnni_pairs = true;
    kernels.tiles = kTiles;
    kernels.skinny = kSkinny;
    return kernels;
}

}  // namespace vila::cpu_kernels

#endif
