#pragma once

// What the AVX-512 tiles and strips of gemm share, whether they multiply f32 (gemm_avx512.cpp) or
// pairs of bf16 (gemm_avx512_bf16.cpp, gemm_amx.cpp): the shape of a tile, its last step, and how a
// strip reads b.

#include <algorithm>

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/intrinsics.h"
#include "tensor/cpu/simd.h"

#if defined(__x86_64__)

namespace vila::cpu_kernels::avx512 {

constexpr int kRows = 14;
constexpr int kLanes = 16;
constexpr int kColumns = 2 * kLanes;

// c = alpha * sums + bias [+ c].
template <int kCount>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void store_tile(const GemmTile& t,
                                                      __m512 (&sums)[kCount][2]) {
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

// 16 x 16 in registers: pairs, then quadruples inside each 128-bit lane, then lanes.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void transpose_square(__m512 (&rows)[kLanes]) {
    __m512 quads[kLanes];  // quads[4 g + c]: column 4 lane + c of rows 4 g to 4 g + 3
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
        const __m512* r = rows + 4 * g;
        const __m512d low_01 = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
        const __m512d high_01 = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
        const __m512d low_23 = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
        const __m512d high_23 = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
        quads[4 * g + 0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low_01, low_23));
        quads[4 * g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low_01, low_23));
        quads[4 * g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high_01, high_23));
        quads[4 * g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high_01, high_23));
    }
    constexpr int kEven = 0x88, kOdd = 0xdd;  // lanes 0 and 2, lanes 1 and 3, of both operands
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
        const __m512 top_even = _mm512_shuffle_f32x4(quads[c], quads[4 + c], kEven);
        const __m512 top_odd = _mm512_shuffle_f32x4(quads[c], quads[4 + c], kOdd);
        const __m512 bottom_even = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], kEven);
        const __m512 bottom_odd = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], kOdd);
        rows[c] = _mm512_shuffle_f32x4(top_even, bottom_even, kEven);
        rows[4 + c] = _mm512_shuffle_f32x4(top_odd, bottom_odd, kEven);
        rows[8 + c] = _mm512_shuffle_f32x4(top_even, bottom_even, kOdd);
        rows[12 + c] = _mm512_shuffle_f32x4(top_odd, bottom_odd, kOdd);
    }
}

constexpr int64_t kLineBytes = 64;
// A strip fetches into the second cache level while it computes: a few whole lines of a few columns
// at a time, which memory returns faster than single lines of all columns.
constexpr int64_t kAheadLines = 4;

// The beginning of the chunk after the one that begins `at` bytes behind the strip's, which has
// `bytes` of each column.
inline const char* chunk_ahead(const GemmStrip& s, int64_t at, int64_t bytes) {
    const int64_t next = at + kAheadLines * kLineBytes;
    return next < bytes ? static_cast<const char*>(s.b) + next : s.next_b;
}

// The share of step `step` (of a chunk of kAheadLines), half `half` of the columns, in fetching the
// chunk at `ahead`.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void fetch_ahead(const char* ahead, int64_t column_bytes,
                                                       int64_t step, int half) {
    constexpr int64_t kColumnsAtOnce = kLanes / kAheadLines;
    ahead += (half * kLanes + step * kColumnsAtOnce) * column_bytes;
    for (int j = 0; j < kColumnsAtOnce; ++j, ahead += column_bytes)
        for (int line = 0; line < kAheadLines; ++line)
            _mm_prefetch(ahead + line * kLineBytes, _MM_HINT_T1);
}

// 32 bytes of a column in the lower half of a register, 32 of another in the upper.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE __m512 load_halves(const char* lower, const char* upper) {
    const __m512 x = _mm512_broadcast_f32x8(_mm256_loadu_ps(reinterpret_cast<const float*>(lower)));
    return _mm512_mask_broadcast_f32x8(x, 0xff00,
                                       _mm256_loadu_ps(reinterpret_cast<const float*>(upper)));
}

// A cache line of each of 16 columns of b as a square of 32-bit words: word i of column j becomes
// lane j of square[i]. column(j) is the address of column j. The loads do the last step of a
// transposition, the halves; shuffles do the others.
template <typename Column>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void load_square(const Column& column,
                                                       __m512 (&square)[kLanes]) {
    // quads[8 h + 4 g + c], lane l: word 8 h + c or, if l is odd, 8 h + c + 4 of columns
    // 8 g + 4 (l / 2) and the next three. Eight columns at a time, each line read at once: columns
    // are often a power of two apart and share the sets of the first cache level.
    __m512 quads[kLanes];
#pragma GCC unroll 2
    for (int g = 0; g < 2; ++g) {
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
            const int64_t offset = h * kLineBytes / 2;
            __m512 r[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i)
                r[i] = load_halves(column(8 * g + i) + offset, column(8 * g + 4 + i) + offset);
            const __m512d low_01 = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
            const __m512d high_01 = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
            const __m512d low_23 = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
            const __m512d high_23 = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
            __m512* const q = quads + 8 * h + 4 * g;
            q[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low_01, low_23));
            q[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low_01, low_23));
            q[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high_01, high_23));
            q[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high_01, high_23));
        }
    }
    constexpr int kEven = 0x88, kOdd = 0xdd;
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
#pragma GCC unroll 4
        for (int c = 0; c < 4; ++c) {
            const __m512 top = quads[8 * h + c], bottom = quads[8 * h + 4 + c];
            square[8 * h + c] = _mm512_shuffle_f32x4(top, bottom, kEven);
            square[8 * h + 4 + c] = _mm512_shuffle_f32x4(top, bottom, kOdd);
        }
    }
}

// The same for half `half` of a strip's columns, `at` bytes behind their beginning. What stands in
// columns beyond the last means nothing.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void load_words(const GemmStrip& s, int64_t at, int half,
                                                      __m512 (&square)[kLanes]) {
    const char* const b = static_cast<const char*>(s.b) + at;
    if (s.columns == kColumns) {
        const char* const first = b + half * kLanes * s.column_bytes;
        load_square([=](int64_t j) { return first + j * s.column_bytes; }, square);
    } else {
        load_square(
            [=](int64_t j) {
                return b + std::min(half * kLanes + j, s.columns - 1) * s.column_bytes;
            },
            square);
    }
}

// See GemmKernels. The strips are in gemm_avx512_strips.cpp.
void rows_of_pairs(const BFloat16* source, int64_t row, int64_t count, int64_t steps, float* out,
                   int64_t out_row);
std::span<void (*const)(const GemmStrip&)> strips_f32();
std::span<void (*const)(const GemmStrip&)> strips_bf16();

}  // namespace vila::cpu_kernels::avx512

#endif
