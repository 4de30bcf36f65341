#pragma once

// What the files of attention share: where sequences and tiles are, and tiles in shared memory.
//
// Attention is computed in tiles (Dao et al. 2022, FlashAttention): 32 queries against 32 keys, a
// lane of a warp per key (or per query where keys own the sum), so that a row of scores is one
// number in each lane and no T x S matrix exists. Blocks never share a sum: there are no atomics,
// and packed sequences have the bits of separate ones.

#include "cuda/cu_seqlens.h"
#include "cuda/launch.h"
#include "cuda/number.h"
#include "cuda/rows.h"
#include "cuda/shared.h"
#include "tensor/kernels.h"

namespace vila::cuda {

constexpr int kTileRows = 32;  // queries or keys of a tile: the lanes of a warp
constexpr int kAttentionWarps = 4;
constexpr int kAttentionThreads = kAttentionWarps * kWarp;
constexpr int kRowsPerWarp = kTileRows / kAttentionWarps;

// A (R, H, D) tensor whose rows may be strided.
template <typename T>
struct HeadRows {
    T* data;
    int64_t row_step, head_step;

    explicit HeadRows(const Tensor& tensor)
        : data(tensor.data<T>()), row_step(tensor.strides()[0]), head_step(tensor.strides()[1]) {}
    __device__ T* operator()(int64_t row, int64_t head) const {
        return data + row * row_step + head * head_step;
    }
};

// Rows [query_begin, query_begin + queries) of q and [key_begin, key_begin + keys) of k and v.
struct Sequence {
    int64_t query_begin, queries, key_begin, keys;

    // How many of its keys query i (counted from query_begin) sees.
    __device__ int64_t visible(int64_t i, bool causal) const {
        const int64_t seen = keys - (queries - 1 - i);
        return !causal ? keys : seen < 0 ? 0 : seen;
    }
};

// All sequences of a call.
struct Sequences {
    const int32_t *cu_seqlens_q, *cu_seqlens_k;
    int64_t count, query_rows, key_rows;

    Sequences(const Tensor& query, const Tensor& key, int64_t queries, int64_t keys)
        : cu_seqlens_q(query.data<int32_t>()),
          cu_seqlens_k(key.data<int32_t>()),
          count(query.numel() - 1),
          query_rows(queries),
          key_rows(keys) {}

    // Bad starts have been noted (cu_seqlens.h); here they only must not lead outside.
    __device__ Sequence at(int64_t b) const {
        const int64_t query = inside(cu_seqlens_q[b], query_rows);
        const int64_t key = inside(cu_seqlens_k[b], key_rows);
        const int64_t queries = inside(cu_seqlens_q[b + 1], query_rows) - query;
        const int64_t keys = inside(cu_seqlens_k[b + 1], key_rows) - key;
        return {query, queries < 0 ? 0 : queries, key, keys < 0 ? 0 : keys};
    }

    // Finds tile number `tile` among the tiles of all sequences, cut along queries or keys. Gives
    // the sequence and the tile's first row in it; false when there are fewer tiles.
    __device__ bool find(int64_t tile, bool along_keys, Sequence& sequence, int64_t& first,
                         int tile_rows = kTileRows) const {
        for (int64_t b = 0; b < count; ++b) {
            sequence = at(b);
            const int64_t rows = along_keys ? sequence.keys : sequence.queries;
            const int64_t tiles = ceil_div(rows, tile_rows);
            if (tile < tiles) {
                first = tile * tile_rows;
                return true;
            }
            tile -= tiles;
        }
        return false;
    }
    // At least as many tiles as find() knows, without looking at the cu_seqlens.
    int64_t most_tiles(bool along_keys, int tile_rows = kTileRows) const {
        return (along_keys ? key_rows : query_rows) / tile_rows + count;
    }
};

// On tensor cores, attention_*_mma.cu: bf16, D a multiple of 8 up to 128. Returns false, having
// done nothing, for anything else.
bool attention_forward_mma(const AttentionForwardArgs& args);
bool attention_backward_mma(const AttentionBackwardArgs& args);

// Notes starts that do not cover all rows.
inline void check_attention_cu_seqlens(CudaDevice& device, const Tensor& cu_seqlens, int64_t rows,
                                       FaultKind cover) {
    const CheckCuSeqlens inner = {
        cu_seqlens.data<int32_t>(), cu_seqlens.numel() - 1,    rows,
        FaultKind::AttentionEnds,   FaultKind::AttentionOrder, device.faults()};
    for_elements(device, 1, CheckCover{inner, cover});
}

// A tile of rows in shared memory. A pitch of D + 1 lets the lanes of a warp walk down a column
// without meeting in one bank.
template <typename Compute>
struct SharedTile {
    Compute* data;
    int64_t pitch;

    __device__ Compute* row(int64_t r) const { return data + r * pitch; }
};

// Brings rows [first, first + kTileRows) of one head to shared memory, times `factor`; rows from
// `last` on become zeros.
template <typename T, typename Compute>
__device__ void load_rows(const HeadRows<T>& rows, int64_t first, int64_t last, int64_t head,
                          int64_t D, Compute factor, const SharedTile<Compute>& tile) {
    for (int64_t i = threadIdx.x; i < kTileRows * D; i += kAttentionThreads) {
        const int64_t r = i / D, d = i % D;
        tile.row(r)[d] = first + r < last ? factor * widen(rows(first + r, head)[d]) : Compute(0);
    }
}

template <typename Compute>
__device__ void clear_rows(int64_t D, const SharedTile<Compute>& tile) {
    for (int64_t i = threadIdx.x; i < kTileRows * D; i += kAttentionThreads)
        tile.row(i / D)[i % D] = 0;
}

template <typename T, typename Compute>
__device__ void store_rows(const SharedTile<Compute>& tile, int64_t first, int64_t last,
                           int64_t head, int64_t D, const HeadRows<T>& rows) {
    for (int64_t i = threadIdx.x; i < kTileRows * D; i += kAttentionThreads) {
        const int64_t r = i / D, d = i % D;
        if (first + r < last) rows(first + r, head)[d] = narrow<T>(tile.row(r)[d]);
    }
}

template <typename Compute>
__device__ Compute dot(const Compute* a, const Compute* b, int64_t D) {
    Compute sum = 0;
    for (int64_t d = 0; d < D; ++d) sum += a[d] * b[d];
    return sum;
}

// sum[d] += sum over j < count of weights[j] * tile(j, d); lane l owns columns l, l + 32, ...
template <typename Compute>
__device__ void add_weighted_rows(const Compute* weights, int64_t count,
                                  const SharedTile<Compute>& tile, int64_t D, int lane,
                                  Compute* sum) {
    for (int64_t d = lane; d < D; d += kWarp) {
        Compute total = sum[d];
        for (int64_t j = 0; j < count; ++j) total += weights[j] * tile.row(j)[d];
        sum[d] = total;
    }
}

}  // namespace vila::cuda
