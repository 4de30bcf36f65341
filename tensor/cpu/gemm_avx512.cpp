// The AVX-512 pieces of gemm: tiles of 14 rows by 32 columns.
//
// 28 of the 32 vector registers hold the tile, two hold a row of the packed b, one an element of a
// spread over its lanes: 28 multiply-adds for 16 loads, so both multiply-add ports stay busy while
// the two load ports have room to spare. The sum of one element of c is one chain over k, whatever
// the number of rows in the tile.

#include "tensor/cpu/gemm_avx512.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <type_traits>

namespace vila::cpu_kernels {

namespace {

using namespace avx512;

// Addresses of a tile's rows of a: one pointer per three rows, which are then pointer + {0, 1, 2} *
// row in one addressing mode. Fourteen pointers would not fit the integer registers.
constexpr int kRowGroup = 3;
constexpr int kGroups = (kRows + kRowGroup - 1) / kRowGroup;

VILA_TARGET_AVX512 VILA_ALWAYS_INLINE __m512 load(const float* x, __mmask16 mask) {
    return _mm512_maskz_loadu_ps(mask, x);
}
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE __m512 load(const BFloat16* x, __mmask16 mask) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
// --- tiles ---

constexpr int64_t kChunk = 8;  // steps between prefetches

template <int kCount>
VILA_TARGET_AVX512 void tile(const GemmTile& t) {
    __m512 sums[kCount][2];
    const float* a[kGroups];
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
        sums[i][0] = sums[i][1] = _mm512_setzero_ps();
        a[i / kRowGroup] = t.a + i / kRowGroup * kRowGroup * t.a_row;
    }
    const float* b = t.b;
    const float* next_b = t.next_b;
    const float* const next_b_end = t.next_b + t.next_b_lines * kLanes;
    const float* c = t.c;
    const float* const c_end = t.c + kCount * t.c_row;
    // Chunks of steps. Each begins with a line of the next b and, towards the end, a row of c, soon
    // enough to arrive from memory and late enough not to be evicted again.
    for (int64_t left = t.k; left > 0;) {
        if (next_b < next_b_end) {
            _mm_prefetch(next_b, _MM_HINT_T1);
            next_b += kLanes;
        }
        if (left <= (kCount + 2) * kChunk && c < c_end) {
            _mm_prefetch(c, _MM_HINT_T0);
            _mm_prefetch(c + kColumns - 1, _MM_HINT_T0);
            c += t.c_row;
        }
        const int64_t steps = std::min(left, kChunk);
        left -= steps;
#pragma GCC unroll 1
        for (int64_t p = steps; p > 0; --p) {
            const __m512 b_0 = _mm512_loadu_ps(b), b_1 = _mm512_loadu_ps(b + kLanes);
#pragma GCC unroll 16
            for (int i = 0; i < kCount; ++i) {
                const __m512 a_i = _mm512_set1_ps(a[i / kRowGroup][i % kRowGroup * t.a_row]);
                sums[i][0] = _mm512_fmadd_ps(a_i, b_0, sums[i][0]);
                sums[i][1] = _mm512_fmadd_ps(a_i, b_1, sums[i][1]);
            }
            b += kColumns;
#pragma GCC unroll 5
            for (int group = 0; group * kRowGroup < kCount; ++group) a[group] += t.a_step;
        }
    }
    store_tile<kCount>(t, sums);
}

constexpr std::array<void (*)(const GemmTile&), kRows> kTiles = {
    tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>,  tile<6>,  tile<7>,
    tile<8>, tile<9>, tile<10>, tile<11>, tile<12>, tile<13>, tile<14>};

// --- transposition ---

// Lanes [0, count).
VILA_ALWAYS_INLINE __mmask16 lanes_below(int64_t count) {
    return count >= kLanes ? __mmask16{0xffff} : static_cast<__mmask16>((1 << count) - 1);
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

template <typename T>
VILA_TARGET_AVX512 void transpose(const void* source, int64_t row_bytes, int64_t count, int64_t k,
                                  float* panel) {
    for (int64_t p = 0; p < k; p += kLanes) {
        const int64_t steps = std::min<int64_t>(kLanes, k - p);
        const __mmask16 mask = lanes_below(steps);
        for (int64_t j = 0; j < kColumns; j += kLanes) {
            __m512 square[kLanes];
            const char* from = static_cast<const char*>(source) + j * row_bytes;
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i)
                square[i] = j + i < count
                                ? load(reinterpret_cast<const T*>(from + i * row_bytes) + p, mask)
                                : _mm512_setzero_ps();
            transpose_square(square);
            float* to = panel + p * kColumns + j;
            if (steps == kLanes) {
#pragma GCC unroll 16
                for (int i = 0; i < kLanes; ++i) _mm512_storeu_ps(to + i * kColumns, square[i]);
            } else {
                for (int64_t i = 0; i < steps; ++i) _mm512_storeu_ps(to + i * kColumns, square[i]);
            }
        }
    }
}

}  // namespace

GemmKernels gemm_kernels_avx512() {
    return {.isa = Isa::Avx512,
            .rows = kRows,
            .columns = kColumns,
            .pairs = false,
            .tiles = kTiles,
            .transpose = transpose<float>,
            .transpose_bf16 = transpose<BFloat16>,
            .strips = strips_f32(),
            .strips_bf16 = strips_bf16()};
}

}  // namespace vila::cpu_kernels

#endif
