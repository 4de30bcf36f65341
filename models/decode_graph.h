#pragma once

// DecodeGraph: the decode step of one sequence, recorded once and replayed for every token. The
// values that change between tokens (id, position, row of the cache, number of keys) are in device
// memory, and every tensor keeps its address, so each step makes the same kernel launches (see
// Device::capture).

#include <functional>

#include "models/vila.h"

namespace vila::models {

class DecodeGraph {
  public:
    // Continues `sequence`, whose prompt is in `cache`. All three must outlive this object, and the
    // sequence must keep its pages.
    DecodeGraph(const VilaModel& model, const KvCache& cache, CachedSequence& sequence);
    DecodeGraph(const DecodeGraph&) = delete;
    DecodeGraph& operator=(const DecodeGraph&) = delete;

    // Reads one token and adds 1 to the length of the sequence. Throws when the sequence or the
    // model has no position left.
    void run(int32_t id);
    // The logits (1, V) that the token of the last run predicts, and the index of the largest, (1)
    // i32. Every run overwrites them.
    const Tensor& logits() const { return logits_; }
    const Tensor& argmax() const { return argmax_; }

  private:
    void compute() const;

    const VilaModel& model_;
    const KvCache& cache_;
    CachedSequence& sequence_;
    Tensor state_;                  // (5) i32: id, position, row of the cache, 0, number of keys
    Tensor pages_;                  // (1, W) i32
    Tensor cu_seqlens_q_;           // (2) i32: 0, 1
    Tensor logits_;                 // (1, V)
    Tensor argmax_;                 // (1) i32
    std::function<void()> replay_;  // set by the first run
};

}  // namespace vila::models
