#pragma once

// KvCache: the keys and values of many sequences in every layer. With them, decoding a token
// computes one row instead of the whole sequence. They are stored in pages of kPageRows positions
// (tensor/kernels.h). A sequence has a list of pages, which may lie anywhere in the cache, and
// sequences that begin alike may share pages. PagePool (page_pool.h) assigns the pages.

#include <span>
#include <vector>

#include "models/config.h"
#include "tensor/kernels.h"

namespace vila::models {

class KvCache {
  public:
    // Allocates 2 * L * pages * kPageRows * K * D elements, for L layers.
    KvCache(const LlamaConfig& config, Device& device, DType dtype, int64_t pages);

    int64_t pages() const { return pages_; }
    // Returns the number of pages that `positions` positions take.
    static int64_t pages_for(int64_t positions);
    // Writes keys and values (R, K, D) of one layer to rows (R) i32 of the cache. The host does not
    // read `rows`.
    void write(int64_t layer, const Tensor& rows, const Tensor& keys, const Tensor& values) const;
    // The keys or values of a layer: (pages * kPageRows, K, D).
    const Tensor& keys(int64_t layer) const { return keys_[static_cast<size_t>(layer)]; }
    const Tensor& values(int64_t layer) const { return values_[static_cast<size_t>(layer)]; }

  private:
    std::vector<Tensor> keys_, values_;  // one per layer
    int64_t pages_;
};

// A sequence whose first `length` positions are in a cache.
struct CachedSequence {
    std::vector<int32_t> pages;  // of the cache, in the order of the positions
    int64_t length = 0;

    int64_t capacity() const { return static_cast<int64_t>(pages.size()) * kPageRows; }
    // The row of the cache that belongs to a position.
    int64_t cache_row(int64_t position) const {
        return pages[static_cast<size_t>(position / kPageRows)] * kPageRows + position % kPageRows;
    }
    // Throws unless the pages and the model have room for `count` more positions.
    void check_room(int64_t count, int64_t max_positions) const;
};

// Returns an empty sequence with the pages 0, 1, ..., enough for `positions` positions.
CachedSequence sequence_on_first_pages(int64_t positions);

// R new rows of B sequences, laid end to end, and the places of their keys and values.
struct CachedRows {
    Tensor positions;                   // (R) i32
    Tensor cache_rows;                  // (R) i32: the rows of the cache for their keys and values
    Tensor cu_seqlens_q, cu_seqlens_k;  // (B + 1) i32: of the new rows; of all positions
    Tensor pages;                       // (B, W) i32: the pages of each sequence, padded to W
    Tensor image_rows = {};             // (M) i32: the rows of image tokens; undefined: none
};

// Describes the next rows[b] rows of each sequences[b]. Throws when a sequence has no room for them
// (check_room). After they have been written to the cache, the caller adds rows[b] to the length of
// the sequence.
CachedRows cached_rows(Device& device, std::span<const int64_t> rows,
                       std::span<const CachedSequence* const> sequences, int64_t max_positions);

}  // namespace vila::models
