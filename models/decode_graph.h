#pragma once

// DecodeGraph: the decode step of one sequence, recorded once and replayed for every token. All
// that changes between tokens (id, position, number of keys) lies in device memory and no tensor
// moves, so a step is the same sequence of kernel launches every time (see Device::capture).

#include <functional>

#include "models/vila.h"

namespace vila::models {

class DecodeGraph {
  public:
    // Continues `sequence`, whose prompt is in `cache`, and adds to its length. All three must
    // outlive this object, and the pages of the sequence must stay.
    DecodeGraph(const VilaModel& model, const KvCache& cache, CachedSequence& sequence);
    DecodeGraph(const DecodeGraph&) = delete;
    DecodeGraph& operator=(const DecodeGraph&) = delete;

    // Reads one token. Throws when the sequence or the model has no position left.
    void run(int32_t id);
    // The logits (1, V) after the last token, and the index of the largest, (1) i32. Every run
    // overwrites them.
    const Tensor& logits() const { return logits_; }
    const Tensor& argmax() const { return argmax_; }

  private:
    void compute() const;

    const VilaModel& model_;
    const KvCache& cache_;
    CachedSequence& sequence_;
    Tensor state_;                  // (5) i32: id, position, its row of the cache, 0, position + 1
    Tensor pages_;                  // (1, W) i32
    Tensor cu_seqlens_q_;           // (2) i32: 0, 1
    Tensor logits_;                 // (1, V)
    Tensor argmax_;                 // (1) i32
    std::function<void()> replay_;  // set by the first run
};

}  // namespace vila::models
