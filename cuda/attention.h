#pragma once

// Shared by the attention kernels: the position of sequences and tiles, and tiles in shared memory.
//
// Attention is computed in tiles (Dao et al. 2022, FlashAttention) of 32 queries and 32 keys. Each
// lane of a warp takes one key (one query in the kernel for dk and dv), so a row of scores is one
// number per lane and no T x S matrix is stored. No sum is shared by two blocks: there are no
// atomics, and packed sequences get the same bits as separate ones.

#include "cuda/cu_seqlens.h"
#include "cuda/launch.h"
#include "cuda/number.h"
#include "cuda/rows.h"
#include "cuda/shared.h"
#include "tensor/kernels.h"

namespace vila::cuda {

constexpr int kTileRows = 32;  // queries or keys of a tile: one per lane of a warp
constexpr int kAttentionWarps = 4;
constexpr int kAttentionThreads = kAttentionWarps * kWarp;
constexpr int kRowsPerWarp = kTileRows / kAttentionWarps;

// A tensor (R, H, D) with arbitrary strides along R and H.
template <typename T>
struct HeadRows {
    T* data;
    int64_t row_stride, head_stride;

    explicit HeadRows(const Tensor& tensor)
        : data(tensor.data<T>()),
          row_stride(tensor.strides()[0]),
          head_stride(tensor.strides()[1]) {}
    __device__ T* operator()(int64_t row, int64_t head) const {
        return data + row * row_stride + head * head_stride;
    }
};

// Keys or values, which may lie in pages (AttentionForwardArgs). Row r is then row r % kPageRows of
// page pages[r / kPageRows], where `pages` is the table (B, W) as one list.
template <typename T>
struct KeyRows : HeadRows<T> {
    const int32_t* pages;  // null: row r is row r of the tensor

    KeyRows(const Tensor& tensor, const Tensor& page_table)
        : HeadRows<T>(tensor), pages(page_table.defined() ? page_table.data<int32_t>() : nullptr) {}
    __device__ T* operator()(int64_t row, int64_t head) const {
        if (pages != nullptr) row = pages[row / kPageRows] * kPageRows + row % kPageRows;
        return HeadRows<T>::operator()(row, head);
    }
};

// One sequence: rows [query_begin, query_begin + queries) of q, and rows
// [key_begin, key_begin + keys) of k and v.
struct Sequence {
    int64_t query_begin, queries, key_begin, keys;

    // The number of keys that query i (counted from query_begin) sees.
    __device__ int64_t visible(int64_t i, bool causal) const {
        const int64_t seen = keys - (queries - 1 - i);
        return !causal ? keys : seen < 0 ? 0 : seen;
    }
};

// All sequences of one call.
struct Sequences {
    const int32_t *cu_seqlens_q, *cu_seqlens_k;
    int64_t count, query_rows, key_rows;
    int64_t page_keys = 0;  // with pages: the keys that the pages of a sequence hold

    Sequences(const Tensor& query, const Tensor& key, int64_t queries, int64_t keys)
        : cu_seqlens_q(query.data<int32_t>()),
          cu_seqlens_k(key.data<int32_t>()),
          count(query.numel() - 1),
          query_rows(queries),
          key_rows(keys) {}
    explicit Sequences(const AttentionForwardArgs& args)
        : Sequences(args.cu_seqlens_q, args.cu_seqlens_k, args.q.size(0), key_limit(args)) {
        if (args.pages.defined()) page_keys = args.pages.size(1) * kPageRows;
    }
    // The largest value that cu_seqlens_k may have.
    static int64_t key_limit(const AttentionForwardArgs& args) {
        return args.pages.defined() ? args.pages.numel() * kPageRows : args.k.size(0);
    }

    // Returns sequence b. Invalid cu_seqlens are clamped, so that no row outside is read; the check
    // in cu_seqlens.h records them as faults.
    __device__ Sequence at(int64_t b) const {
        const int64_t query = clamp_row(cu_seqlens_q[b], query_rows);
        const int64_t key = clamp_row(cu_seqlens_k[b], key_rows);
        const int64_t queries = clamp_row(cu_seqlens_q[b + 1], query_rows) - query;
        int64_t keys = clamp_row(cu_seqlens_k[b + 1], key_rows) - key;
        if (page_keys > 0 && keys > page_keys) keys = page_keys;
        return {query, queries < 0 ? 0 : queries, page_keys > 0 ? b * page_keys : key,
                keys < 0 ? 0 : keys};
    }

    // Finds tile number `tile` of all sequences, which are cut into tiles along queries or keys.
    // Sets `sequence`, and `first` to the tile's first row in it. Returns false when there are
    // fewer tiles.
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
    // An upper bound on the number of tiles, from the numbers of rows and sequences alone.
    int64_t max_tiles(bool along_keys, int tile_rows = kTileRows) const {
        return (along_keys ? key_rows : query_rows) / tile_rows + count;
    }
};

// Attention on tensor cores (attention_*_mma.cu), for bf16 and D a multiple of 8 up to 128. Returns
// false, having launched nothing, for anything else.
bool attention_forward_mma(const AttentionForwardArgs& args);
bool attention_backward_mma(const AttentionBackwardArgs& args);

// Launches the checks of CheckCover: records a fault of kind `cover` unless the sequences cover all
// `rows`.
inline void check_attention_cu_seqlens(CudaDevice& device, const Tensor& cu_seqlens, int64_t rows,
                                       FaultKind cover) {
    const CheckCuSeqlens inner = {
        cu_seqlens.data<int32_t>(), cu_seqlens.numel() - 1,    rows,
        FaultKind::AttentionEnds,   FaultKind::AttentionOrder, device.faults()};
    for_elements(device, 1, CheckCover{inner, cover});
}

// A tile of rows in shared memory. With a pitch of D + 1 the lanes of a warp can read a column
// without bank conflicts.
template <typename Compute>
struct SharedTile {
    Compute* data;
    int64_t pitch;

    __device__ Compute* row(int64_t r) const { return data + r * pitch; }
};

// Loads rows [first, first + kTileRows) of one head, times `factor`, to shared memory. Rows from
// `last` on become zeros.
template <typename Rows, typename Compute>
__device__ void load_rows(const Rows& rows, int64_t first, int64_t last, int64_t head, int64_t D,
                          Compute factor, const SharedTile<Compute>& tile) {
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

// sum[d] += sum over j < count of weights[j] * tile(j, d). Lane l owns columns l, l + 32, ...
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
