// The AMX kernels of gemm (Intel, from Sapphire Rapids on): eight tile registers that hold
// matrices, and one instruction that multiplies two of them. A tile register has 16 rows of 64
// bytes:
//
//   of a      16 rows, 32 bf16 along k each, as in memory
//   of b      16 rows of a packed panel, each 16 VNNI pairs, as in avx512_bf16.cpp
//   of c      16 x 16 f32
//
// For one element of c an instruction sums the 16 products of even k and the 16 of odd k in two
// chains of multiply-adds, adds the two, and adds that to c. Four registers of c, two of a and two
// of b make the largest tile, 32 x 32: four products for four loads.
//
// A skinny panel exchanges the operands: rows of weights, read in place, are "a", and up to 16 rows
// of x, side by side, are "b". Products commute and the chains are the same, so the bits are too.

#include "tensor/cpu/gemm/amx.h"
#include "tensor/cpu/gemm/avx512.h"

#if defined(__x86_64__)

#include <array>
#include <cstring>
#include <utility>

namespace vila::cpu_kernels {

namespace {

using namespace avx512;

constexpr int64_t kTileRows = 16;
constexpr int64_t kTilePairs = 16;  // VNNI pairs along k
constexpr int64_t kMaxTileRows = 2 * kTileRows;
constexpr int64_t kTileBytes = kTileRows * kLineBytes;

// --- the configuration of the tile registers ---

// Registers 0 to 3 hold c (row half, column half), 4 and 5 the halves of a, 6 and 7 those of b.
TileConfig tile_config(int64_t rows) {
    TileConfig config;
    for (int half = 0; half < 2; ++half) {
        const int64_t height = std::clamp<int64_t>(rows - half * kTileRows, 0, kTileRows);
        if (height > 0) {
            config.set(2 * half, height, kLineBytes);
            config.set(2 * half + 1, height, kLineBytes);
            config.set(4 + half, height, kLineBytes);
        }
        config.set(6 + half, kTilePairs, kLineBytes);
    }
    return config;
}

// Register 0 holds the sums (row of weights, row of x), 4 the weights, 6 the rows of x.
TileConfig skinny_config(int64_t weight_rows, int64_t x_rows) {
    const int64_t x_bytes = x_rows * static_cast<int64_t>(sizeof(float));
    TileConfig config;
    config.set(0, weight_rows, x_bytes);
    config.set(4, weight_rows, kLineBytes);
    config.set(6, kTilePairs, x_bytes);
    return config;
}

VILA_TARGET_AMX VILA_ALWAYS_INLINE void configure(TileRegisters& registers,
                                                  const TileRegisters& wanted) {
    if (registers == wanted) return end_writes();
    const TileConfig config =
        wanted.x_rows == 0 ? tile_config(wanted.rows) : skinny_config(wanted.rows, wanted.x_rows);
    end_writes(&config);
    _tile_loadconfig(&config);
    registers = wanted;
}

// Configured registers make every switch between threads slower.
VILA_TARGET_AMX void release(TileRegisters& registers) {
    if (registers != TileRegisters{}) _tile_release();
    registers = {};
}

// --- tiles ---

// The pairs at the end of a block, fewer than 16, padded with zeros: memory after them holds other
// data.
struct Tail {
    alignas(64) float a[kMaxTileRows * kTilePairs];
    alignas(64) float b[kTilePairs * kNr];

    VILA_TARGET_AVX512 Tail(const GemmTile& t, int64_t rows, int64_t first) {
        const int64_t pairs = t.k - first;
        const auto mask = static_cast<__mmask16>((1 << pairs) - 1);
        for (int64_t i = 0; i < rows; ++i)
            _mm512_store_ps(a + i * kTilePairs,
                            _mm512_maskz_loadu_ps(mask, t.a + i * t.a_row_stride + first));
        std::memcpy(b, t.b + first * kNr, static_cast<size_t>(pairs * kNr) * sizeof(float));
        std::memset(b + pairs * kNr, 0,
                    static_cast<size_t>((kTilePairs - pairs) * kNr) * sizeof(float));
    }
};

// Adds the products of 16 pairs to the sums.
template <bool kTwoHalves>
VILA_TARGET_AMX VILA_ALWAYS_INLINE void add_products(const float* a, int64_t a_row_stride,
                                                     const float* b) {
    const auto stride = static_cast<size_t>(a_row_stride) * sizeof(float);
    constexpr size_t kPanelStride = kNr * sizeof(float);
    _tile_loadd(6, b, kPanelStride);
    _tile_loadd(4, a, stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + kLanes, kPanelStride);
    _tile_dpbf16ps(1, 4, 7);
    if (kTwoHalves) {
        _tile_loadd(5, a + kTileRows * a_row_stride, stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

// c = alpha * sums + bias [+ c], from sums (rows, 32), as store_tile does.
VILA_TARGET_AVX512 void store_rows(const GemmTile& t, const float* sums, int64_t rows) {
    const __m512 alpha = _mm512_set1_ps(t.alpha), zero = _mm512_setzero_ps();
    for (int64_t half = 0; half < 2; ++half) {
        const int64_t at = half * kLanes;
        const __m512 bias = t.bias != nullptr ? _mm512_loadu_ps(t.bias + at) : zero;
        for (int64_t i = 0; i < rows; ++i) {
            float* const c = t.c + i * t.c_row_stride + at;
            __m512 y = _mm512_fmadd_ps(alpha, _mm512_load_ps(sums + i * kNr + at), bias);
            if (t.accumulate) y = _mm512_add_ps(y, _mm512_loadu_ps(c));
            _mm512_storeu_ps(c, y);
        }
    }
}

template <int kCount>
VILA_TARGET_AMX void tile(const GemmTile& t) {
    constexpr bool kTwoHalves = kCount > kTileRows;
    configure(*t.registers, {kCount, 0});
    _tile_zero(0);
    _tile_zero(1);
    if (kTwoHalves) {
        _tile_zero(2);
        _tile_zero(3);
    }
    const float* next_b = t.next_b;
    const float* const next_b_end = t.next_b + t.next_b_lines * kLanes;
    const int64_t whole = t.k / kTilePairs * kTilePairs;
    const float* c = t.c;
    const float* const c_end = t.c + kCount * t.c_row_stride;
    for (int64_t p = 0; p < whole; p += kTilePairs) {
        for (int row = 0; row < 2 && c < c_end; ++row, c += t.c_row_stride) {
            _mm_prefetch(c, _MM_HINT_T0);
            _mm_prefetch(c + kLanes, _MM_HINT_T0);
        }
        for (int line = 0; line < 2 && next_b < next_b_end; ++line, next_b += kLanes)
            _mm_prefetch(next_b, _MM_HINT_T1);
        add_products<kTwoHalves>(t.a + p, t.a_row_stride, t.b + p * kNr);
    }
    if (whole < t.k) {
        const Tail tail(t, kCount, whole);
        end_writes(&tail);
        add_products<kTwoHalves>(tail.a, kTilePairs, tail.b);
    }
    alignas(64) float sums[kCount * kNr];
    constexpr size_t kStride = kNr * sizeof(float);
    _tile_stored(0, sums, kStride);
    _tile_stored(1, sums + kLanes, kStride);
    if (kTwoHalves) {
        _tile_stored(2, sums + kTileRows * kNr, kStride);
        _tile_stored(3, sums + kTileRows * kNr + kLanes, kStride);
    }
    store_rows(t, sums, kCount);
}

template <int... kCounts>
constexpr auto tiles_of(std::integer_sequence<int, kCounts...>) {
    return std::array<void (*)(const GemmTile&), sizeof...(kCounts)>{tile<kCounts + 1>...};
}
constexpr auto kTiles = tiles_of(std::make_integer_sequence<int, kMaxTileRows>());

// --- skinny panels ---

// Adds the products of 16 pairs of x with the weights at `weights` to the sums.
template <int kCount>
VILA_TARGET_AMX VILA_ALWAYS_INLINE void add_weights(const char* weights, int64_t stride,
                                                    const float* x) {
    _tile_loadd(4, weights, static_cast<size_t>(stride));
    _tile_loadd(6, x, kCount * sizeof(float));
    _tile_dpbf16ps(0, 4, 6);
}

// add_weights for fewer than 16 pairs.
template <int kCount>
VILA_TARGET_AMX void add_weights_tail(const char* weights, int64_t stride, int64_t rows,
                                      const float* x, int64_t pairs) {
    alignas(64) char padded_weights[kTileBytes] = {};
    alignas(64) float padded_x[kTilePairs * kCount] = {};
    const size_t bytes = static_cast<size_t>(pairs) * sizeof(float);
    for (int64_t i = 0; i < rows; ++i)
        std::memcpy(padded_weights + i * kLineBytes, weights + i * stride, bytes);
    std::memcpy(padded_x, x, bytes * kCount);
    end_writes(padded_weights);
    end_writes(padded_x);
    add_weights<kCount>(padded_weights, kLineBytes, padded_x);
}

// c = alpha * sums + bias [+ c] for 16 columns of a panel; sets the sums to zero.
template <int kCount>
VILA_TARGET_AMX void end_block(const GemmTile& t, int64_t at, bool first) {
    float sums[kTileRows][kCount] = {};
    _tile_stored(0, sums, kCount * sizeof(float));
    _tile_zero(0);
    const __m512 bias =
        first && t.bias != nullptr ? _mm512_loadu_ps(t.bias + at) : _mm512_setzero_ps();
    for (int r = 0; r < kCount; ++r) {
        alignas(64) float column[kTileRows];
        for (int j = 0; j < kTileRows; ++j) column[j] = sums[j][r];
        float* const c = t.c + r * t.c_row_stride + at;
        __m512 y = _mm512_fmadd_ps(_mm512_set1_ps(t.alpha), _mm512_load_ps(column), bias);
        if (t.accumulate || !first) y = _mm512_add_ps(y, _mm512_loadu_ps(c));
        _mm512_storeu_ps(c, y);
    }
}

template <int kCount>
VILA_TARGET_AMX void skinny(const SkinnyPanel& s) {
    constexpr int64_t kWord = sizeof(float);
    const GemmTile& t = s.tile;
    for (int64_t at = 0; at < s.columns; at += kTileRows) {
        const int64_t rows = std::min(s.columns - at, kTileRows);
        configure(*t.registers, {rows, kCount});
        _tile_zero(0);
        const char* const weights = static_cast<const char*>(s.b) + at * s.column_bytes;
        for (int64_t begin = 0; begin < t.k; begin += s.kc) {
            const int64_t end = std::min(begin + s.kc, t.k);
            const int64_t whole = begin + (end - begin) / kTilePairs * kTilePairs;
            // Sixteen streams: the hardware prefetcher follows them, as fast as one alone.
            for (int64_t p = begin; p < whole; p += kTilePairs)
                add_weights<kCount>(weights + p * kWord, s.column_bytes, t.a + p * kCount);
            if (whole < end)
                add_weights_tail<kCount>(weights + whole * kWord, s.column_bytes, rows,
                                         t.a + whole * kCount, end - whole);
            end_block<kCount>(t, at, begin == 0);
        }
    }
}

template <int... kCounts>
constexpr auto skinny_kernels_of(std::integer_sequence<int, kCounts...>) {
    return std::array<void (*)(const SkinnyPanel&), sizeof...(kCounts)>{skinny<kCounts + 1>...};
}
constexpr auto kSkinny = skinny_kernels_of(std::make_integer_sequence<int, kMaxSkinnyRows>());

}  // namespace

GemmKernels gemm_kernels_amx() {
    GemmKernels kernels = gemm_kernels_avx512();
    kernels.mr = kMaxTileRows;
    kernels.kc = 1024;
    kernels.mc = 224;
    kernels.vnni_pairs = true;
    kernels.tiles = kTiles;
    kernels.skinny = kSkinny;
    kernels.skinny_a_is_k_major = true;
    kernels.pack_vnni_rows = pack_vnni_rows;
    kernels.release = release;
    return kernels;
}

}  // namespace vila::cpu_kernels

#endif
