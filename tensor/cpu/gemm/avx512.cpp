// The AVX-512 kernels of gemm for tiles: 14 rows by 32 columns.
//
// 28 of the 32 vector registers hold the tile, two hold a row of the packed b, one an element of a
// in all lanes: 28 multiply-adds for 16 loads, so both multiply-add ports stay busy while
// the two load ports have room to spare. The sum of one element of c is one chain over k, whatever
// the number of rows in the tile.

#include "tensor/cpu/gemm/avx512.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <type_traits>

namespace vila::cpu_kernels {

namespace {

using namespace avx512;

// Addresses of the rows of a: one pointer per three rows, which are then pointer + {0, 1, 2} *
// a_row_stride in one addressing mode. Fourteen pointers would not fit the integer registers.
constexpr int kRowGroup = 3;
constexpr int kGroups = (kMr + kRowGroup - 1) / kRowGroup;

VILA_TARGET_AVX512 VILA_ALWAYS_INLINE __m512 load(const float* x, __mmask16 mask) {
    return _mm512_maskz_loadu_ps(mask, x);
}
VILA_TARGET_AVX512 VILA_ALWAYS_INLINE __m512 load(const BFloat16* x, __mmask16 mask) {
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

// --- tiles ---

constexpr int64_t kChunk = 8;  // of k, between prefetches

template <int kCount>
VILA_TARGET_AVX512 void tile(const GemmTile& t) {
    __m512 sums[kCount][2];
    const float* a[kGroups];
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
        sums[i][0] = sums[i][1] = _mm512_setzero_ps();
        a[i / kRowGroup] = t.a + i / kRowGroup * kRowGroup * t.a_row_stride;
    }
    const float* b = t.b;
    const float* next_b = t.next_b;
    const float* const next_b_end = t.next_b + t.next_b_lines * kLanes;
    const float* c = t.c;
    const float* const c_end = t.c + kCount * t.c_row_stride;
    // Chunks of k. Each begins with the prefetch of a line of the next b and, towards the end, of a
    // row of c: soon enough to arrive from memory, and late enough not to be evicted again.
    for (int64_t left = t.k; left > 0;) {
        if (next_b < next_b_end) {
            _mm_prefetch(next_b, _MM_HINT_T1);
            next_b += kLanes;
        }
        if (left <= (kCount + 2) * kChunk && c < c_end) {
            _mm_prefetch(c, _MM_HINT_T0);
            _mm_prefetch(c + kNr - 1, _MM_HINT_T0);
            c += t.c_row_stride;
        }
        const int64_t chunk = std::min(left, kChunk);
        left -= chunk;
#pragma GCC unroll 1
        for (int64_t p = chunk; p > 0; --p) {
            const __m512 b_0 = _mm512_loadu_ps(b), b_1 = _mm512_loadu_ps(b + kLanes);
#pragma GCC unroll 16
            for (int i = 0; i < kCount; ++i) {
                const __m512 a_i = _mm512_set1_ps(a[i / kRowGroup][i % kRowGroup * t.a_row_stride]);
                sums[i][0] = _mm512_fmadd_ps(a_i, b_0, sums[i][0]);
                sums[i][1] = _mm512_fmadd_ps(a_i, b_1, sums[i][1]);
            }
            b += kNr;
#pragma GCC unroll 5
            for (int group = 0; group * kRowGroup < kCount; ++group) a[group] += t.a_k_stride;
        }
    }
    store_tile<kCount>(t, sums);
}

constexpr std::array<void (*)(const GemmTile&), kMr> kTiles = {
    tile<1>, tile<2>, tile<3>,  tile<4>,  tile<5>,  tile<6>,  tile<7>,
    tile<8>, tile<9>, tile<10>, tile<11>, tile<12>, tile<13>, tile<14>};

// --- transposition ---

// The mask of lanes [0, count).
VILA_ALWAYS_INLINE __mmask16 lanes_below(int64_t count) {
    return count >= kLanes ? __mmask16{0xffff} : static_cast<__mmask16>((1 << count) - 1);
}

template <typename T>
VILA_TARGET_AVX512 void transpose(const void* source, int64_t row_bytes, int64_t count, int64_t k,
                                  float* panel) {
    for (int64_t p = 0; p < k; p += kLanes) {
        const int64_t depth = std::min<int64_t>(kLanes, k - p);
        const __mmask16 mask = lanes_below(depth);
        for (int64_t j = 0; j < kNr; j += kLanes) {
            __m512 square[kLanes];
            const char* from = static_cast<const char*>(source) + j * row_bytes;
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i)
                square[i] = j + i < count
                                ? load(reinterpret_cast<const T*>(from + i * row_bytes) + p, mask)
                                : _mm512_setzero_ps();
            transpose_square(square);
            float* to = panel + p * kNr + j;
            if (depth == kLanes) {
#pragma GCC unroll 16
                for (int i = 0; i < kLanes; ++i) _mm512_storeu_ps(to + i * kNr, square[i]);
            } else {
                for (int64_t i = 0; i < depth; ++i) _mm512_storeu_ps(to + i * kNr, square[i]);
            }
        }
    }
}

// Packs 16 VNNI pairs of each of 16 columns of a matrix whose rows run across k. Only the first
// `pairs` pairs exist.
VILA_TARGET_AVX512 void transpose_pairs(const BFloat16* source, int64_t row_stride, int64_t pairs,
                                        __mmask16 columns, int64_t rows, float* out,
                                        int64_t out_row_stride) {
    __m512 square[kLanes];
#pragma GCC unroll 16
    for (int p = 0; p < kLanes; ++p) {
        square[p] = _mm512_setzero_ps();
        if (p >= pairs) continue;
        const BFloat16* const even = source + 2 * p * row_stride;
        const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, even));
        const __m512i high =
            _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, even + row_stride));
        square[p] = _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
    transpose_square(square);
    const auto mask = static_cast<__mmask16>((1 << std::min<int64_t>(pairs, kLanes)) - 1);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
        if (i < rows) _mm512_mask_storeu_ps(out + i * out_row_stride, mask, square[i]);
}

}  // namespace

namespace avx512 {

VILA_TARGET_AVX512 void pack_vnni_rows(const BFloat16* source, int64_t row_stride, int64_t count,
                                       int64_t pairs, float* out, int64_t out_row_stride) {
    for (int64_t p = 0; p < pairs; p += kLanes)
        for (int64_t i = 0; i < count; i += kLanes) {
            const int64_t rows = std::min<int64_t>(count - i, kLanes);
            transpose_pairs(source + 2 * p * row_stride + i, row_stride, pairs - p,
                            static_cast<__mmask16>((1 << rows) - 1), rows,
                            out + i * out_row_stride + p, out_row_stride);
        }
}

}  // namespace avx512

GemmKernels gemm_kernels_avx512() {
    return {.isa = Isa::Avx512,
            .mr = kMr,
            .nr = kNr,
            .kc = kVectorKc,
            .mc = kVectorMc,
            .vnni_pairs = false,
            .tiles = kTiles,
            .transpose = transpose<float>,
            .transpose_bf16 = transpose<BFloat16>,
            .skinny = skinny_kernels_f32(),
            .skinny_bf16 = skinny_kernels_bf16()};
}

}  // namespace vila::cpu_kernels

#endif
