#pragma once

// KvCache: the keys and values of one sequence in every layer. With them, decoding a token computes
// one row instead of the whole sequence.

#include <vector>

#include "models/config.h"
#include "tensor/tensor.h"

namespace vila::models {

class KvCache {
  public:
    // Allocates room for `capacity` positions: 2 * L * capacity * K * D elements.
    KvCache(const LlamaConfig& config, Device& device, DType dtype, int64_t capacity);

    int64_t length() const { return length_; }
    int64_t capacity() const { return capacity_; }
    // Writes keys and values (R, K, D) of one layer after the first length() positions. advance()
    // counts them. Throws when they do not fit.
    void append(int64_t layer, const Tensor& keys, const Tensor& values);
    // Writes keys and values (R, K, D) of one layer at positions (R) i32, whose values only the
    // device knows.
    void write(int64_t layer, const Tensor& positions, const Tensor& keys,
               const Tensor& values) const;
    // The keys or values of a layer at the first `positions` positions: (positions, K, D).
    Tensor keys(int64_t layer, int64_t positions) const;
    Tensor values(int64_t layer, int64_t positions) const;
    // Adds `rows` to length(), once every layer has written them.
    void advance(int64_t rows);
    // Removes all positions from `length` on.
    void truncate(int64_t length);

  private:
    std::vector<Tensor> keys_, values_;  // one per layer, (capacity, K, D)
    int64_t capacity_;
    int64_t length_ = 0;
};

}  // namespace vila::models
