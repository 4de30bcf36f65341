// The AVX512-BF16 piece of gemm: the tile of gemm_avx512.cpp with the dot product of bf16 pairs
// (vdpbf16ps: two products, each exact, added to an f32 lane) in place of the multiply-add. A
// "float" of a and b is a pair along k. Everything else is shared with AVX-512.

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/intrinsics.h"
#include "tensor/cpu/simd.h"

#if defined(__x86_64__)

#include <array>

namespace vila::cpu_kernels {

namespace {

constexpr int kRows = 14;
constexpr int kLanes = 16;
constexpr int kColumns = 2 * kLanes;
constexpr int kRowGroup = 3;  // rows per address register, as in gemm_avx512.cpp
constexpr int kGroups = (kRows + kRowGroup - 1) / kRowGroup;

// Two bf16, possibly not on a 4-byte boundary.
using Pair = int32_t __attribute__((may_alias, aligned(2)));

VILA_TARGET_AVX512_BF16 VILA_ALWAYS_INLINE __m512 add_dot(__m512 sum, __m512i x, __m512i y) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y));
}

template <int kCount>
VILA_TARGET_AVX512_BF16 void tile(const GemmTile& t) {
    __m512 sums[kCount][2];
    const Pair* a[kGroups];
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
        sums[i][0] = sums[i][1] = _mm512_setzero_ps();
        a[i / kRowGroup] = reinterpret_cast<const Pair*>(t.a) + i / kRowGroup * kRowGroup * t.a_row;
        _mm_prefetch(t.c + i * t.c_row, _MM_HINT_T0);
        _mm_prefetch(t.c + i * t.c_row + kColumns - 1, _MM_HINT_T0);
    }
    const float* b = t.b;
    for (int64_t p = t.k; p > 0; --p) {
        const __m512i b_0 = _mm512_loadu_si512(b), b_1 = _mm512_loadu_si512(b + kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < kCount; ++i) {
            const __m512i a_i = _mm512_set1_epi32(a[i / kRowGroup][i % kRowGroup * t.a_row]);
            sums[i][0] = add_dot(sums[i][0], a_i, b_0);
            sums[i][1] = add_dot(sums[i][1], a_i, b_1);
        }
        b += kColumns;
#pragma GCC unroll 5
        for (int group = 0; group * kRowGroup < kCount; ++group) a[group] += t.a_step;
    }
    const __m512 alpha = _mm512_set1_ps(t.alpha);
    __m512 bias[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    if (t.bias != nullptr) {
        bias[0] = _mm512_loadu_ps(t.bias);
        bias[1] = _mm512_loadu_ps(t.bias + kLanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
        float* c_i = t.c + i * t.c_row;
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
            __m512 y = _mm512_fmadd_ps(alpha, sums[i][v], bias[v]);
            if (t.add) y = _mm512_add_ps(y, _mm512_loadu_ps(c_i + v * kLanes));
            _mm512_storeu_ps(c_i + v * kLanes, y);
        }
    }
}

constexpr std::array<void (*)(const GemmTile&), kRows> kTiles = {
    tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>,  tile<6>,  tile<7>,
    tile<8>, tile<9>, tile<10>, tile<11>, tile<12>, tile<13>, tile<14>};

}  // namespace

GemmKernels gemm_kernels_avx512_bf16() {
    GemmKernels kernels = gemm_kernels_avx512();
    kernels.pairs = true;
    kernels.tiles = kTiles;
    return kernels;
}

}  // namespace vila::cpu_kernels

#endif
