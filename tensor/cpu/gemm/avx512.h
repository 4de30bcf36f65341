#pragma once

// Shared by the AVX-512 kernels of gemm, which multiply f32 (avx512.cpp, avx512_skinny.cpp) or VNNI
// pairs of bf16 (avx512_bf16.cpp, amx.cpp): the shape of a tile, its stores, transpositions in
// registers, and the loads of b in skinny panels.

#include <algorithm>

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/intrinsics.h"
#include "tensor/cpu/simd.h"

#if defined(__x86_64__)

namespace vila::cpu_kernels::avx512 {

constexpr int kMr = 14;
constexpr int kLanes = 16;
constexpr int kNr = 2 * kLanes;

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
        float* c_i = t.c + i * t.c_row_stride;
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
            __m512 y = _mm512_fmadd_ps(alpha, sums[i][v], bias[v]);
            if (t.accumulate) y = _mm512_add_ps(y, _mm512_loadu_ps(c_i + v * kLanes));
            _mm512_storeu_ps(c_i + v * kLanes, y);
        }
    }
}

// Transposes the 4 x 4 block of words inside each 128-bit lane of rows[0] to rows[3].
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void transpose_4x4(const __m512* rows, __m512* columns) {
    const __m512d low_01 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[0], rows[1]));
    const __m512d high_01 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[0], rows[1]));
    const __m512d low_23 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[2], rows[3]));
    const __m512d high_23 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[2], rows[3]));
    columns[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low_01, low_23));
    columns[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low_01, low_23));
    columns[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high_01, high_23));
    columns[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high_01, high_23));
}

// Transposes 16 x 16 in registers: 4 x 4 blocks inside each 128-bit lane, then the lanes.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void transpose_square(__m512 (&rows)[kLanes]) {
    __m512 quads[kLanes];  // quads[4 g + c]: column 4 lane + c of rows 4 g to 4 g + 3
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) transpose_4x4(rows + 4 * g, quads + 4 * g);
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
// A skinny kernel prefetches into the second cache level while it computes: a few whole lines of a
// few columns at a time (a chunk), which memory returns faster than single lines of all columns.
constexpr int64_t kAheadLines = 4;

// The beginning of the chunk that follows the chunk `at` bytes from the start of the panel. The
// panel has `bytes` of each column.
inline const char* next_chunk(const SkinnyPanel& s, int64_t at, int64_t bytes) {
    const int64_t next = at + kAheadLines * kLineBytes;
    return next < bytes ? static_cast<const char*>(s.b) + next : s.next_b;
}

// Prefetches a share of the chunk at `ahead`: share number `line` of kAheadLines, of half `half` of
// the columns.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void prefetch_share(const char* ahead, int64_t column_bytes,
                                                          int64_t line, int half) {
    constexpr int64_t kColumnsAtOnce = kLanes / kAheadLines;
    ahead += (half * kLanes + line * kColumnsAtOnce) * column_bytes;
    for (int j = 0; j < kColumnsAtOnce; ++j, ahead += column_bytes)
        for (int l = 0; l < kAheadLines; ++l) _mm_prefetch(ahead + l * kLineBytes, _MM_HINT_T1);
}

// Loads 32 bytes of one column into the lower half of a register, 32 of another into the upper
// half.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE __m512 load_halves(const char* lower, const char* upper) {
    const __m512 x = _mm512_broadcast_f32x8(_mm256_loadu_ps(reinterpret_cast<const float*>(lower)));
    return _mm512_mask_broadcast_f32x8(x, 0xff00,
                                       _mm256_loadu_ps(reinterpret_cast<const float*>(upper)));
}

// Loads a cache line of each of 16 columns of b and transposes the square of 32-bit words: word i
// of column j becomes lane j of square[i]. column(j) is the address of column j. The loads do the
// last step of the transposition, the halves; shuffles do the others.
template <typename Column>
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void load_square(const Column& column,
                                                       __m512 (&square)[kLanes]) {
    // quads[8 h + 4 g + c], lane l: word 8 h + c or, if l is odd, 8 h + c + 4 of columns
    // 8 g + 4 (l / 2) and the next three. Eight columns at a time, each line read as a whole:
    // columns are often a power of two apart and then share the sets of the first cache level.
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
            transpose_4x4(r, quads + 8 * h + 4 * g);
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

// load_square for half `half` of the columns of a panel, `at` bytes from their beginning. Columns
// beyond the last repeat it; their sums are not used.
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE void load_words(const SkinnyPanel& s, int64_t at, int half,
                                                      __m512 (&square)[kLanes]) {
    const char* const b = static_cast<const char*>(s.b) + at;
    if (s.columns == kNr) {
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

// See GemmKernels. The skinny kernels are in avx512_skinny.cpp.
void pack_vnni_rows(const BFloat16* source, int64_t row_stride, int64_t count, int64_t pairs,
                    float* out, int64_t out_row_stride);
std::span<void (*const)(const SkinnyPanel&)> skinny_kernels_f32();
std::span<void (*const)(const SkinnyPanel&)> skinny_kernels_bf16();

}  // namespace vila::cpu_kernels::avx512

#endif
