#pragma once

// KvCache: the keys and values of one sequence in every layer, so that the next token needs only
// its own row.

#include <vector>

#include "models/config.h"
#include "tensor/tensor.h"

namespace vila::models {

class KvCache {
  public:
    // Room for `capacity` positions. Memory: 2 * L * capacity * K * D elements, taken at once.
    KvCache(const LlamaConfig& config, Device& device, DType dtype, int64_t capacity);

    int64_t length() const { return length_; }
    int64_t capacity() const { return capacity_; }
    // Appends keys and values (R, K, D) of one layer behind the `length()` positions that all
    // layers have; throws when they do not fit.
    void append(int64_t layer, const Tensor& keys, const Tensor& values);
    // The same for rows of one layer at positions (R) i32, which the device knows alone.
    void write(int64_t layer, const Tensor& positions, const Tensor& keys,
               const Tensor& values) const;
    // Keys or values of a layer for the first `positions` positions: (positions, K, D).
    Tensor keys(int64_t layer, int64_t positions) const;
    Tensor values(int64_t layer, int64_t positions) const;
    // Makes `rows` appended positions count, once every layer has them.
    void advance(int64_t rows);
    // Forgets every position from `length` on.
    void truncate(int64_t length);

  private:
    std::vector<Tensor> keys_, values_;  // one a layer, (capacity, K, D)
    int64_t capacity_;
    int64_t length_ = 0;
};

}  // namespace vila::models
