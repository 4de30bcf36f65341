#pragma once

// Shared by the attention kernels on tensor cores: bf16 tiles in shared memory, filled by
// asynchronous copies, and the fragments that a warp loads from them.
//
// A warp owns 16 rows (queries, or keys in the kernel for dk and dv) and keeps their sums in
// registers. The block loads the tiles that all its warps use, and copies the next tile while it
// computes on this one. The four lanes of a quad share a row of a fragment: lane l holds rows l / 4
// and l / 4 + 8 of its warp, columns 2 (l % 4) and 2 (l % 4) + 1 of every 8.

#include <iterator>
#include <type_traits>
#include <utility>

#include "cuda/attention.h"
#include "cuda/ptx.h"

namespace vila::cuda {

// The rows that a block owns: 16 per warp.
constexpr int kMmaRows = 16 * kAttentionWarps;
constexpr float kLog2E = 1.44269504088896340736F;
constexpr float kLn2 = 0.69314718055994530942F;

// Head dims are padded with zeros to one of these widths: multiples of 16, the depth of an mma.
constexpr int kMmaWidths[] = {16, 32, 48, 64, 80, 96, 128};

// Calls body(width) with the smallest width of the list that holds D, as a compile-time constant.
// Returns false when there is none.
template <typename Body>
bool for_width(int64_t D, const Body& body) {
    const auto fits = [&](auto width) {
        if (D > width.value) return false;
        body(width);
        return true;
    };
    return [&]<size_t... i>(std::index_sequence<i...>) {
        return (fits(std::integral_constant<int, kMmaWidths[i]>{}) || ...);
    }
    (std::make_index_sequence<std::size(kMmaWidths)>{});
}

// Returns whether the tensor-core kernels support q. Dtype and width alone decide, not the address,
// so that the same values always give the same bits.
inline bool fits_tensor_cores(const Tensor& q) {
    return q.dtype() == DType::BF16 && q.size(2) % 8 == 0 && q.size(2) <= *std::rbegin(kMmaWidths);
}

// Whether rows can be copied 16 bytes at a time.
inline bool has_rows_of_16_bytes(const Tensor& x) {
    return reinterpret_cast<uintptr_t>(x.raw()) % 16 == 0 && x.strides()[0] % 8 == 0 &&
           x.strides()[1] % 8 == 0;
}
// Returns x if it has such rows, else a copy that has.
inline Tensor with_rows_of_16_bytes(const Tensor& x) {
    return has_rows_of_16_bytes(x) ? x : x.clone();
}
// A result with such rows: `wanted` itself, or a buffer that finish() copies to it.
class AlignedResult {
  public:
    explicit AlignedResult(const Tensor& wanted)
        : wanted_(wanted),
          rows_(has_rows_of_16_bytes(wanted)
                    ? wanted
                    : Tensor::empty(wanted.device(), wanted.shape(), wanted.dtype())) {}
    const Tensor& rows() const { return rows_; }
    void finish() const {
        if (rows_.raw() != wanted_.raw()) wanted_.copy_from(rows_);
    }

  private:
    Tensor wanted_, rows_;
};

// A tile of `width` columns in shared memory. Rows are padded by 16 bytes, so that the eight rows
// of a matrix begin in different banks.
template <int width>
struct MmaTile {
    static constexpr int kPitch = width + 8;
    BFloat16* data;

    static constexpr int elements(int rows) { return rows * kPitch; }

    // Begins asynchronous copies of rows [first, first + count) of one head. Rows from `last` on
    // and columns from D on become zeros.
    template <typename Rows>
    __device__ void begin_load(const Rows& rows, int64_t first, int64_t last, int64_t head,
                               int64_t D, int count) const {
        constexpr int kChunks = width / 8;
        for (int i = static_cast<int>(threadIdx.x); i < count * kChunks; i += kAttentionThreads) {
            const int r = i / kChunks, c = i % kChunks * 8;
            const bool real = first + r < last && c < D;
            ptx::cp_async(data + r * kPitch + c, real ? rows(first + r, head) + c : rows.data,
                          real);
        }
    }

    // Loads operand a of an mma: rows [row, row + 16), columns [column, column + 16).
    __device__ void load_a(uint32_t (&a)[4], int row, int column) const {
        const int lane = static_cast<int>(threadIdx.x) % kWarp;
        ptx::ldmatrix(a, data + (row + lane % 16) * kPitch + column + lane / 16 * 8);
    }
    // Loads operand b of two mmas, from the tile's transpose: registers 0 and 1 for columns
    // [row, row + 8) of the result, 2 and 3 for the next 8; depth [column, column + 16).
    __device__ void load_b_transposed(uint32_t (&b)[4], int row, int column) const {
        const int lane = static_cast<int>(threadIdx.x) % kWarp;
        ptx::ldmatrix(b,
                      data + (row + lane % 8 + lane / 16 * 8) * kPitch + column + lane / 8 % 2 * 8);
    }
    // Loads operand b of two mmas, from the tile: depth [row, row + 16), columns
    // [column, column + 16) of the result.
    __device__ void load_b(uint32_t (&b)[4], int row, int column) const {
        const int lane = static_cast<int>(threadIdx.x) % kWarp;
        ptx::ldmatrix_trans(b, data + (row + lane % 16) * kPitch + column + lane / 16 * 8);
    }
};

// sums (16, 8 * tiles) = a (16, width) b^T (width, 8 * tiles): rows [row, row + 16) of tile a, the
// first 8 * tiles rows of tile b.
template <int width, int tiles>
__device__ inline void multiply_rows(float (&sums)[tiles][4], const MmaTile<width>& a, int row,
                                     const MmaTile<width>& b) {
    for (int tile = 0; tile < tiles; ++tile)
        for (int i = 0; i < 4; ++i) sums[tile][i] = 0.0F;
    for (int column = 0; column < width; column += 16) {
        uint32_t left[4];
        a.load_a(left, row, column);
        for (int tile = 0; tile < tiles; tile += 2) {
            uint32_t right[4];
            b.load_b_transposed(right, tile * 8, column);
            ptx::mma(sums[tile], left, right[0], right[1]);
            ptx::mma(sums[tile + 1], left, right[2], right[3]);
        }
    }
}

// sums (16, width) += weights (16, 8 * tiles), rounded to bf16, times the first 8 * tiles rows of
// the tile.
template <int width, int tiles>
__device__ inline void add_weighted_rows(float (&sums)[width / 8][4],
                                         const float (&weights)[tiles][4],
                                         const MmaTile<width>& rows) {
    for (int tile = 0; tile < tiles; tile += 2) {
        // The accumulator of one mma has the register layout of operand a of the next.
        const float(&w)[4] = weights[tile], (&next)[4] = weights[tile + 1];
        const uint32_t left[4] = {ptx::pack_bf16(w[0], w[1]), ptx::pack_bf16(w[2], w[3]),
                                  ptx::pack_bf16(next[0], next[1]),
                                  ptx::pack_bf16(next[2], next[3])};
        for (int column = 0; column < width; column += 16) {
            uint32_t right[4];
            rows.load_b(right, tile * 8, column);
            ptx::mma(sums[column / 8], left, right[0], right[1]);
            ptx::mma(sums[column / 8 + 1], left, right[2], right[3]);
        }
    }
}

// Stores the lane's part of sums (16, width), times `factor` of the row, to rows first + l / 4 and
// first + l / 4 + 8.
template <int width>
__device__ inline void store_sums(const float (&sums)[width / 8][4], const float (&factor)[2],
                                  const HeadRows<BFloat16>& rows, int64_t first, int64_t last,
                                  int64_t head, int64_t D) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    for (int half = 0; half < 2; ++half) {
        const int64_t row = first + lane / 4 + half * 8;
        if (row >= last) continue;
        BFloat16* to = rows(row, head) + lane % 4 * 2;
        for (int tile = 0; tile < width / 8; ++tile) {
            if (tile * 8 >= D) continue;
            const uint32_t two = ptx::pack_bf16(factor[half] * sums[tile][2 * half],
                                                factor[half] * sums[tile][2 * half + 1]);
            *reinterpret_cast<uint32_t*>(to + tile * 8) = two;
        }
    }
}

}  // namespace vila::cuda
