// The AMX pieces of gemm (Intel, from Sapphire Rapids on): eight registers that hold matrices, and
// one instruction that multiplies two of them. A tile register has 16 rows of 64 bytes:
//
//   of a      16 rows, 32 bf16 along k each, as they lie in memory
//   of b      16 steps of a packed panel, each 16 pairs of bf16, as gemm_avx512_bf16.cpp has them
//   of c      16 x 16 f32
//
// For one element of c an instruction sums the 16 products of even k and the 16 of odd k in two
// chains of multiply-adds, adds the two, and adds that to c. Four registers of c, two of a and two
// of b make the largest tile, 32 x 32: four products for four loads.
//
// A strip multiplies the other way round: its rows of weights are "a", where they lie, and up to 16
// rows of x are "b", side by side. Products commute and the chains are the same, so the bits are.

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
constexpr int64_t kTileSteps = 16;  // pairs of bf16
constexpr int64_t kLargestRows = 2 * kTileRows;
constexpr int64_t kTileBytes = kTileRows * kLineBytes;

// --- the shapes of the registers ---

// Registers 0 to 3 are c (row half, column half), 4 and 5 halves of a, 6 and 7 halves of b.
TileConfig config_of_tile(int64_t rows) {
    TileConfig config;
    for (int half = 0; half < 2; ++half) {
        const int64_t height = std::clamp<int64_t>(rows - half * kTileRows, 0, kTileRows);
        if (height > 0) {
            config.set(2 * half, height, kLineBytes);
            config.set(2 * half + 1, height, kLineBytes);
            config.set(4 + half, height, kLineBytes);
        }
        config.set(6 + half, kTileSteps, kLineBytes);
    }
    return config;
}

// Register 0 is sums (weight row, row of x), 4 is weights, 6 steps of the rows of x.
TileConfig config_of_strip(int64_t weight_rows, int64_t x_rows) {
    const int64_t x_bytes = x_rows * static_cast<int64_t>(sizeof(float));
    TileConfig config;
    config.set(0, weight_rows, x_bytes);
    config.set(4, weight_rows, kLineBytes);
    config.set(6, kTileSteps, x_bytes);
    return config;
}

// The shape that this thread's registers have: of a tile, of a strip, or none.
struct TileShape {
    int64_t rows = 0, x_rows = 0;  // of weights and of x in a strip
    bool operator==(const TileShape&) const = default;
};
thread_local TileShape configured;

VILA_TARGET_AMX VILA_ALWAYS_INLINE void configure(const TileShape& wanted) {
    if (configured == wanted) return end_writes();
    const TileConfig config = wanted.x_rows == 0 ? config_of_tile(wanted.rows)
                                                 : config_of_strip(wanted.rows, wanted.x_rows);
    end_writes(&config);
    _tile_loadconfig(&config);
    configured = wanted;
}

// Registers in use make every switch between threads dearer.
VILA_TARGET_AMX void release() {
    if (configured != TileShape{}) _tile_release();
    configured = {};
}

// --- tiles ---

// Up to 16 steps that end a block, filled up with zeros: what follows them in memory is not theirs.
struct LastSteps {
    alignas(64) float a[kLargestRows * kTileSteps];
    alignas(64) float b[kTileSteps * kColumns];

    VILA_TARGET_AVX512 LastSteps(const GemmTile& t, int64_t rows, int64_t first) {
        const int64_t steps = t.k - first;
        const auto mask = static_cast<__mmask16>((1 << steps) - 1);
        for (int64_t i = 0; i < rows; ++i)
            _mm512_store_ps(a + i * kTileSteps,
                            _mm512_maskz_loadu_ps(mask, t.a + i * t.a_row + first));
        std::memcpy(b, t.b + first * kColumns,
                    static_cast<size_t>(steps * kColumns) * sizeof(float));
        std::memset(b + steps * kColumns, 0,
                    static_cast<size_t>((kTileSteps - steps) * kColumns) * sizeof(float));
    }
};

// 16 steps more in the sums.
template <bool kTwoHalves>
VILA_TARGET_AMX VILA_ALWAYS_INLINE void add_steps(const float* a, int64_t a_row, const float* b) {
    const auto stride = static_cast<size_t>(a_row) * sizeof(float);
    constexpr size_t kPanelStride = kColumns * sizeof(float);
    _tile_loadd(6, b, kPanelStride);
    _tile_loadd(4, a, stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + kLanes, kPanelStride);
    _tile_dpbf16ps(1, 4, 7);
    if (kTwoHalves) {
        _tile_loadd(5, a + kTileRows * a_row, stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

// c = alpha * sums + bias [+ c], from sums (rows, 32): as store_tile.
VILA_TARGET_AVX512 void store_rows(const GemmTile& t, const float* sums, int64_t rows) {
    const __m512 alpha = _mm512_set1_ps(t.alpha), zero = _mm512_setzero_ps();
    for (int64_t half = 0; half < 2; ++half) {
        const int64_t at = half * kLanes;
        const __m512 bias = t.bias != nullptr ? _mm512_loadu_ps(t.bias + at) : zero;
        for (int64_t i = 0; i < rows; ++i) {
            float* const c = t.c + i * t.c_row + at;
            __m512 y = _mm512_fmadd_ps(alpha, _mm512_load_ps(sums + i * kColumns + at), bias);
            if (t.add) y = _mm512_add_ps(y, _mm512_loadu_ps(c));
            _mm512_storeu_ps(c, y);
        }
    }
}

template <int kCount>
VILA_TARGET_AMX void tile(const GemmTile& t) {
    constexpr bool kTwoHalves = kCount > kTileRows;
    configure({kCount, 0});
    _tile_zero(0);
    _tile_zero(1);
    if (kTwoHalves) {
        _tile_zero(2);
        _tile_zero(3);
    }
    const float* next_b = t.next_b;
    const float* const next_b_end = t.next_b + t.next_b_lines * kLanes;
    const int64_t whole = t.k / kTileSteps * kTileSteps;
    const float* c = t.c;
    const float* const c_end = t.c + kCount * t.c_row;
    for (int64_t p = 0; p < whole; p += kTileSteps) {
        for (int row = 0; row < 2 && c < c_end; ++row, c += t.c_row) {
            _mm_prefetch(c, _MM_HINT_T0);
            _mm_prefetch(c + kLanes, _MM_HINT_T0);
        }
        for (int line = 0; line < 2 && next_b < next_b_end; ++line, next_b += kLanes)
            _mm_prefetch(next_b, _MM_HINT_T1);
        add_steps<kTwoHalves>(t.a + p, t.a_row, t.b + p * kColumns);
    }
    if (whole < t.k) {
        const LastSteps last(t, kCount, whole);
        end_writes(&last);
        add_steps<kTwoHalves>(last.a, kTileSteps, last.b);
    }
    alignas(64) float sums[kCount * kColumns];
    constexpr size_t kStride = kColumns * sizeof(float);
    _tile_stored(0, sums, kStride);
    _tile_stored(1, sums + kLanes, kStride);
    if (kTwoHalves) {
        _tile_stored(2, sums + kTileRows * kColumns, kStride);
        _tile_stored(3, sums + kTileRows * kColumns + kLanes, kStride);
    }
    store_rows(t, sums, kCount);
}

template <int... kCounts>
constexpr auto tiles_of(std::integer_sequence<int, kCounts...>) {
    return std::array<void (*)(const GemmTile&), sizeof...(kCounts)>{tile<kCounts + 1>...};
}
constexpr auto kTiles = tiles_of(std::make_integer_sequence<int, kLargestRows>());

// --- strips ---

// 16 steps of x more in the sums of the weights at `weights`.
template <int kCount>
VILA_TARGET_AMX VILA_ALWAYS_INLINE void add_weights(const char* weights, int64_t stride,
                                                    const float* x) {
    _tile_loadd(4, weights, static_cast<size_t>(stride));
    _tile_loadd(6, x, kCount * sizeof(float));
    _tile_dpbf16ps(0, 4, 6);
}

// The same for fewer than 16 steps.
template <int kCount>
VILA_TARGET_AMX void add_last_weights(const char* weights, int64_t stride, int64_t rows,
                                      const float* x, int64_t steps) {
    alignas(64) char square[kTileBytes] = {};
    alignas(64) float last_x[kTileSteps * kCount] = {};
    const size_t bytes = static_cast<size_t>(steps) * sizeof(float);
    for (int64_t i = 0; i < rows; ++i)
        std::memcpy(square + i * kLineBytes, weights + i * stride, bytes);
    std::memcpy(last_x, x, bytes * kCount);
    end_writes(square);
    end_writes(last_x);
    add_weights<kCount>(square, kLineBytes, last_x);
}

// c = alpha * sums + bias [+ c] for 16 columns of a strip; the sums become zero.
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
        float* const c = t.c + r * t.c_row + at;
        __m512 y = _mm512_fmadd_ps(_mm512_set1_ps(t.alpha), _mm512_load_ps(column), bias);
        if (t.add || !first) y = _mm512_add_ps(y, _mm512_loadu_ps(c));
        _mm512_storeu_ps(c, y);
    }
}

template <int kCount>
VILA_TARGET_AMX void strip(const GemmStrip& s) {
    constexpr int64_t kWord = sizeof(float);
    const GemmTile& t = s.tile;
    for (int64_t at = 0; at < s.columns; at += kTileRows) {
        const int64_t rows = std::min(s.columns - at, kTileRows);
        configure({rows, kCount});
        _tile_zero(0);
        const char* const weights = static_cast<const char*>(s.b) + at * s.column_bytes;
        for (int64_t begin = 0; begin < t.k; begin += s.step_block) {
            const int64_t end = std::min(begin + s.step_block, t.k);
            const int64_t whole = begin + (end - begin) / kTileSteps * kTileSteps;
            // Sixteen streams: the processor fetches them ahead by itself, as fast as one alone.
            for (int64_t p = begin; p < whole; p += kTileSteps)
                add_weights<kCount>(weights + p * kWord, s.column_bytes, t.a + p * kCount);
            if (whole < end)
                add_last_weights<kCount>(weights + whole * kWord, s.column_bytes, rows,
                                         t.a + whole * kCount, end - whole);
            end_block<kCount>(t, at, begin == 0);
        }
    }
}

template <int... kCounts>
constexpr auto strips_of(std::integer_sequence<int, kCounts...>) {
    return std::array<void (*)(const GemmStrip&), sizeof...(kCounts)>{strip<kCounts + 1>...};
}
constexpr auto kStrips = strips_of(std::make_integer_sequence<int, kMostStripRows>());

}  // namespace

GemmKernels gemm_kernels_amx() {
    GemmKernels kernels = gemm_kernels_avx512();
    kernels.rows = kLargestRows;
    kernels.step_block = 1024;
    kernels.row_block = 224;
    kernels.pairs = true;
    kernels.tiles = kTiles;
    kernels.strips = kStrips;
    kernels.strips_side_by_side = true;
    kernels.rows_of_pairs = rows_of_pairs;
    kernels.release = release;
    return kernels;
}

}  // namespace vila::cpu_kernels

#endif
