#pragma once

// Small matrix products on tiles that fit in cache, for kernels that fuse several of them
// (attention). Everything is f32: rows of any element type are converted when they are packed.
//
// Reading order: Tile, the packing functions, multiply_block (registers), multiply_tile (loops).

#include <algorithm>
#include <cstdint>

#include "tensor/cpu/vec.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

// A row-major f32 matrix in scratch memory, 64-byte aligned. `stride` is the row stride in floats.
struct Tile {
    float* data = nullptr;
    int64_t stride = 0;
    float* row(int64_t r) const { return data + r * stride; }
};

// The row stride for `columns` floats: an odd number of whole cache lines, so that a column of the
// tile spreads over all sets of the cache.
inline int64_t tile_stride(int64_t columns) {
    constexpr int64_t kLine = 16;
    return (ceil_div(columns, kLine) | 1) * kLine;
}

template <int kLanes>
constexpr int64_t round_to_lanes(int64_t n) {
    return round_up(n, kLanes);
}

// to[0..n) = scale * from[0..n), then zeros up to a whole number of lanes.
template <int kLanes, typename T>
VILA_ALWAYS_INLINE void pack_row(const T* from, int64_t n, float scale, float* to) {
    const Vec<kLanes> scales = broadcast<kLanes>(scale);
    int64_t c = 0;
    for (; c + kLanes <= n; c += kLanes) store<kLanes>(to + c, load<kLanes>(from + c) * scales);
    if (c == n) return;
    for (; c < n; ++c) to[c] = static_cast<float>(from[c]) * scale;
    for (; c % kLanes != 0; ++c) to[c] = 0.0F;
}

// to[0..n) = scale * from[0..n), rounded to T.
template <int kLanes, typename T>
VILA_ALWAYS_INLINE void unpack_row(const float* from, int64_t n, float scale, T* to) {
    const Vec<kLanes> scales = broadcast<kLanes>(scale);
    int64_t c = 0;
    for (; c + kLanes <= n; c += kLanes) store<kLanes>(to + c, load<kLanes>(from + c) * scales);
    for (; c < n; ++c) to[c] = T(from[c] * scale);
}

// y (columns, rows) = x (rows, columns) transposed. Both extents are rounded up to whole lanes: the
// caller keeps zeros (or any harmless values) there.
template <int kLanes>
VILA_ALWAYS_INLINE void transpose_tile(Tile x, int64_t rows, int64_t columns, Tile y) {
    for (int64_t r = 0; r < rows; r += kLanes) {
        for (int64_t c = 0; c < columns; c += kLanes) {
            Vec<kLanes> block[kLanes];
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i) block[i] = load<kLanes>(x.row(r + i) + c);
            transpose<kLanes>(block);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i) store<kLanes>(y.row(c + i) + r, block[i]);
        }
    }
}

// The left operand of a product: element (r, k) is data[r * row_stride + k * depth_stride], so that
// a tile can also be read as its transpose.
struct LeftOperand {
    const float* data = nullptr;
    int64_t row_stride = 0, depth_stride = 0;
};
inline LeftOperand as_is(Tile tile) {
    return {tile.data, tile.stride, 1};
}
inline LeftOperand transposed(Tile tile) {
    return {tile.data, 1, tile.stride};
}

// The initial value of the accumulators: zero, or c * factor[r] (c itself if factor is null).
struct Start {
    bool zero = true;
    const float* factor = nullptr;
};

// Computes kRows x (kVecs * kLanes) elements of c, held in registers along the whole depth. b is
// f32 or bf16.
template <int kLanes, int kRows, int kVecs, typename T>
VILA_ALWAYS_INLINE void multiply_block(LeftOperand a, const T* b, int64_t b_stride, int64_t depth,
                                       Start start, float* c, int64_t c_stride) {
    Vec<kLanes> sum[kRows][kVecs];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        const Vec<kLanes> factor =
            broadcast<kLanes>(start.factor != nullptr ? start.factor[r] : 1.0F);
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v)
            sum[r][v] =
                start.zero ? Vec<kLanes>{} : load<kLanes>(c + r * c_stride + v * kLanes) * factor;
    }
    for (int64_t k = 0; k < depth; ++k) {
        Vec<kLanes> right[kVecs];
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) right[v] = load<kLanes>(b + v * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
            const Vec<kLanes> left = broadcast<kLanes>(a.data[r * a.row_stride]);
#pragma GCC unroll 8
            for (int v = 0; v < kVecs; ++v) sum[r][v] += left * right[v];
        }
        a.data += a.depth_stride;
        b += b_stride;
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) store<kLanes>(c + r * c_stride + v * kLanes, sum[r][v]);
    }
}

// Rows and vectors of a register block: 24 accumulators of 32 registers with AVX-512, 12 of 16
// elsewhere. The rest holds the vectors of the right operand and one broadcast.
constexpr int kBlockRows = 6;
template <int kLanes>
constexpr int kBlockVecs = kLanes == 16 ? 4 : 2;

template <int kLanes, int kRows>
VILA_ALWAYS_INLINE void multiply_block(int64_t vecs, LeftOperand a, const float* b,
                                       int64_t b_stride, int64_t depth, Start start, float* c,
                                       int64_t c_stride) {
    if constexpr (kBlockVecs<kLanes> == 4) {
        if (vecs == 4)
            return multiply_block<kLanes, kRows, 4>(a, b, b_stride, depth, start, c, c_stride);
        if (vecs == 3)
            return multiply_block<kLanes, kRows, 3>(a, b, b_stride, depth, start, c, c_stride);
    }
    if (vecs == 2)
        return multiply_block<kLanes, kRows, 2>(a, b, b_stride, depth, start, c, c_stride);
    return multiply_block<kLanes, kRows, 1>(a, b, b_stride, depth, start, c, c_stride);
}

// The part of a product that a block of rows needs: columns [0, columns), and terms
// [depth_begin, depth_end) of the sums.
struct BlockRange {
    int64_t columns, depth_begin, depth_end;
};

// c (rows, columns) = start + a (rows, depth) b (depth, columns). range(row_begin, row_end) returns
// the BlockRange of a block of rows. Columns are rounded up to whole lanes.
template <int kLanes, typename Range>
VILA_ALWAYS_INLINE void multiply_tile(LeftOperand a, Tile b, int64_t rows, int64_t columns,
                                      Start start, Tile c, const Range& range) {
    constexpr int64_t kPanel = kBlockVecs<kLanes> * kLanes;
    for (int64_t column = 0; column < columns; column += kPanel) {
        for (int64_t r = 0; r < rows;) {
            const int64_t left = rows - r;
            const int64_t height = left >= kBlockRows ? kBlockRows
                                   : left >= 4        ? 4
                                   : left >= 2        ? 2
                                                      : 1;
            const BlockRange part = range(r, r + height);
            const int64_t width = std::min(part.columns - column, kPanel);
            const int64_t depth = part.depth_end - part.depth_begin;
            if (width > 0 && (depth > 0 || start.zero)) {
                const int64_t vecs = ceil_div(width, kLanes);
                const LeftOperand a_block = {
                    a.data + r * a.row_stride + part.depth_begin * a.depth_stride, a.row_stride,
                    a.depth_stride};
                const float* b_block = b.row(part.depth_begin) + column;
                const Start start_block = {start.zero,
                                           start.factor != nullptr ? start.factor + r : nullptr};
                float* c_block = c.row(r) + column;
                if (height == 6)
                    multiply_block<kLanes, 6>(vecs, a_block, b_block, b.stride, depth, start_block,
                                              c_block, c.stride);
                else if (height == 4)
                    multiply_block<kLanes, 4>(vecs, a_block, b_block, b.stride, depth, start_block,
                                              c_block, c.stride);
                else if (height == 2)
                    multiply_block<kLanes, 2>(vecs, a_block, b_block, b.stride, depth, start_block,
                                              c_block, c.stride);
                else
                    multiply_block<kLanes, 1>(vecs, a_block, b_block, b.stride, depth, start_block,
                                              c_block, c.stride);
            }
            r += height;
        }
    }
}

}  // namespace vila::cpu_kernels
