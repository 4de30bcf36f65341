// The AVX2 + FMA kernels of gemm: tiles of 6 rows by 16 columns. 12 of the 16 vector registers hold
// the tile, two hold a row of the packed b, one an element of a in all lanes.

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/intrinsics.h"
#include "tensor/cpu/simd.h"

#if defined(__x86_64__)

#include <algorithm>
#include <array>
#include <type_traits>

namespace vila::cpu_kernels {

namespace {

constexpr int kMr = 6;
constexpr int kLanes = 8;
constexpr int kNr = 2 * kLanes;
constexpr int64_t kPrefetchBytes = 512;  // ahead of the loads of a skinny panel, in each column

VILA_TARGET_AVX2 VILA_ALWAYS_INLINE __m256 load(const float* x) {
    return _mm256_loadu_ps(x);
}
VILA_TARGET_AVX2 VILA_ALWAYS_INLINE __m256 load(const BFloat16* x) {
    const __m128i bf16 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}

// --- tiles ---

// c = alpha * sums + bias [+ c].
template <int kCount>
VILA_TARGET_AVX2 VILA_ALWAYS_INLINE void store_tile(const GemmTile& t, __m256 (&sums)[kCount][2]) {
    const __m256 alpha = _mm256_set1_ps(t.alpha);
    __m256 bias[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    if (t.bias != nullptr) {
        bias[0] = _mm256_loadu_ps(t.bias);
        bias[1] = _mm256_loadu_ps(t.bias + kLanes);
    }
#pragma GCC unroll 6
    for (int i = 0; i < kCount; ++i) {
        float* c_i = t.c + i * t.c_row_stride;
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
            __m256 y = _mm256_fmadd_ps(alpha, sums[i][v], bias[v]);
            if (t.accumulate) y = _mm256_add_ps(y, _mm256_loadu_ps(c_i + v * kLanes));
            _mm256_storeu_ps(c_i + v * kLanes, y);
        }
    }
}

template <int kCount>
VILA_TARGET_AVX2 void tile(const GemmTile& t) {
    __m256 sums[kCount][2];
    // Two pointers, each for three rows: see avx512.cpp.
    const float* a[2] = {t.a, t.a + 3 * t.a_row_stride};
#pragma GCC unroll 6
    for (int i = 0; i < kCount; ++i) {
        sums[i][0] = sums[i][1] = _mm256_setzero_ps();
        _mm_prefetch(t.c + i * t.c_row_stride, _MM_HINT_T0);
    }
    const float* b = t.b;
    for (int64_t p = t.k; p > 0; --p) {
        const __m256 b_0 = _mm256_loadu_ps(b), b_1 = _mm256_loadu_ps(b + kLanes);
#pragma GCC unroll 6
        for (int i = 0; i < kCount; ++i) {
            const __m256 a_i = _mm256_broadcast_ss(a[i / 3] + i % 3 * t.a_row_stride);
            sums[i][0] = _mm256_fmadd_ps(a_i, b_0, sums[i][0]);
            sums[i][1] = _mm256_fmadd_ps(a_i, b_1, sums[i][1]);
        }
        b += kNr;
        a[0] += t.a_k_stride;
        a[1] += t.a_k_stride;
    }
    store_tile<kCount>(t, sums);
}

constexpr std::array<void (*)(const GemmTile&), kMr> kTiles = {tile<1>, tile<2>, tile<3>,
                                                               tile<4>, tile<5>, tile<6>};

// --- transposition ---

// Transposes 8 x 8 in registers: 4 x 4 blocks inside each 128-bit lane, then the lanes.
VILA_TARGET_AVX2 VILA_ALWAYS_INLINE void transpose_square(__m256 (&rows)[kLanes]) {
    __m256 quads[kLanes];  // quads[4 g + c]: column 4 lane + c of rows 4 g to 4 g + 3
#pragma GCC unroll 2
    for (int g = 0; g < 2; ++g) {
        const __m256* r = rows + 4 * g;
        const __m256d low_01 = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1]));
        const __m256d high_01 = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
        const __m256d low_23 = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3]));
        const __m256d high_23 = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
        quads[4 * g + 0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low_01, low_23));
        quads[4 * g + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low_01, low_23));
        quads[4 * g + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high_01, high_23));
        quads[4 * g + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high_01, high_23));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
        rows[c] = _mm256_permute2f128_ps(quads[c], quads[4 + c], 0x20);
        rows[4 + c] = _mm256_permute2f128_ps(quads[c], quads[4 + c], 0x31);
    }
}

template <typename T>
VILA_TARGET_AVX2 void transpose(const void* source, int64_t row_bytes, int64_t count, int64_t k,
                                float* panel) {
    const auto row = [=](int64_t j) {
        return reinterpret_cast<const T*>(static_cast<const char*>(source) + j * row_bytes);
    };
    const int64_t whole = count == kNr ? k / kLanes * kLanes : 0;
    for (int64_t p = 0; p < whole; p += kLanes) {
        for (int64_t j = 0; j < kNr; j += kLanes) {
            __m256 square[kLanes];
#pragma GCC unroll 8
            for (int i = 0; i < kLanes; ++i) square[i] = load(row(j + i) + p);
            transpose_square(square);
#pragma GCC unroll 8
            for (int i = 0; i < kLanes; ++i) _mm256_storeu_ps(panel + (p + i) * kNr + j, square[i]);
        }
    }
    for (int64_t p = whole; p < k; ++p)
        for (int64_t j = 0; j < kNr; ++j)
            panel[p * kNr + j] = j < count ? static_cast<float>(row(j)[p]) : 0.0F;
}

// --- skinny panels: see avx512_skinny.cpp ---

template <int kCount>
VILA_TARGET_AVX2 VILA_ALWAYS_INLINE void add_product(const float* a, int64_t a_row_stride, __m256 b,
                                                     __m256* sums) {
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r)
        sums[2 * r] = _mm256_fmadd_ps(_mm256_broadcast_ss(a + r * a_row_stride), b, sums[2 * r]);
}

template <int kCount, typename T>
VILA_TARGET_AVX2 VILA_ALWAYS_INLINE void add_word(const float* a, int64_t a_row_stride, __m256 word,
                                                  __m256* sums) {
    if constexpr (std::is_same_v<T, float>) {
        add_product<kCount>(a, a_row_stride, word, sums);
    } else {
        const __m256i bits = _mm256_castps_si256(word);
        const __m256i high = _mm256_and_si256(bits, _mm256_set1_epi32(~0xffff));
        add_product<kCount>(a, a_row_stride, _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)),
                            sums);
        add_product<kCount>(a + 1, a_row_stride, _mm256_castsi256_ps(high), sums);
    }
}

template <int kCount, typename T>
VILA_TARGET_AVX2 void add_tail(const SkinnyPanel& s, int64_t p, __m256 (&sums)[kCount][2]) {
    const GemmTile& t = s.tile;
    for (; p < t.k; ++p) {
        alignas(32) float b[kNr] = {};
        for (int64_t j = 0; j < s.columns; ++j)
            b[j] = static_cast<float>(
                reinterpret_cast<const T*>(static_cast<const char*>(s.b) + j * s.column_bytes)[p]);
        for (int half = 0; half < 2; ++half)
            add_product<kCount>(t.a + p, t.a_row_stride, _mm256_load_ps(b + half * kLanes),
                                &sums[0][half]);
    }
}

template <int kCount, typename T>
VILA_TARGET_AVX2 void skinny(const SkinnyPanel& s) {
    constexpr int64_t kPerWord = sizeof(float) / sizeof(T), kPerVector = kLanes * kPerWord;
    const GemmTile& t = s.tile;
    __m256 sums[kCount][2];
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
    const int64_t whole = t.k / kPerVector * kPerVector;
    for (int64_t p = 0; p < whole; p += kPerVector) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const char* from = static_cast<const char*>(s.b) + half * kLanes * s.column_bytes +
                               p * static_cast<int64_t>(sizeof(T));
            __m256 square[kLanes];
#pragma GCC unroll 8
            for (int j = 0; j < kLanes; ++j) {
                const bool inside = half * kLanes + j < s.columns;
                square[j] = inside ? _mm256_loadu_ps(reinterpret_cast<const float*>(from))
                                   : _mm256_setzero_ps();
                _mm_prefetch(from + kPrefetchBytes, _MM_HINT_T0);
                from += s.column_bytes;
            }
            transpose_square(square);
#pragma GCC unroll 8
            for (int i = 0; i < kLanes; ++i)
                add_word<kCount, T>(t.a + p + i * kPerWord, t.a_row_stride, square[i],
                                    &sums[0][half]);
        }
    }
    if (whole < t.k) add_tail<kCount, T>(s, whole, sums);
    store_tile<kCount>(t, sums);
}

template <typename T>
constexpr std::array<void (*)(const SkinnyPanel&), kVectorSkinnyRows> kSkinny = {
    over_k_blocks<skinny<1, T>>, over_k_blocks<skinny<2, T>>, over_k_blocks<skinny<3, T>>,
    over_k_blocks<skinny<4, T>>};

}  // namespace

GemmKernels gemm_kernels_avx2() {
    return {.isa = Isa::Avx2,
            .mr = kMr,
            .nr = kNr,
            .kc = kVectorKc,
            .mc = kVectorMc,
            .vnni_pairs = false,
            .tiles = kTiles,
            .transpose = transpose<float>,
            .transpose_bf16 = transpose<BFloat16>,
            .skinny = kSkinny<float>,
            .skinny_bf16 = kSkinny<BFloat16>};
}

}  // namespace vila::cpu_kernels

#endif
