#pragma once

// TokenStep: from one token of a sequence to what is known of the next. What changes from token to
// token (its id, its position, how many keys there are) lies in device memory, and all tensors stay
// where they are: the step is the same launches each time, which a device may record (see
// Device::capture).

#include <functional>

#include "models/vila.h"

namespace vila::models {

class TokenStep {
  public:
    // For a sequence in `cache`, which was read by Llama::decode and is filled further here. Both
    // must outlive the step.
    TokenStep(const VilaModel& model, KvCache& cache);
    TokenStep(const TokenStep&) = delete;
    TokenStep& operator=(const TokenStep&) = delete;

    // Reads one token. Throws when the cache or the model's positions are used up.
    void run(int32_t id);
    // Logits (1, V) after the token that was read last, and where they are largest (1) i32.
    const Tensor& logits() const { return logits_; }
    const Tensor& most_probable() const { return most_probable_; }

  private:
    void compute() const;

    const VilaModel& model_;
    KvCache& cache_;
    Tensor state_;         // (4) i32: id, position, 0, position + 1
    Tensor cu_seqlens_q_;  // (2) i32: 0, 1
    Tensor logits_, most_probable_;
    std::function<void()> again_;  // once it ran
};

}  // namespace vila::models
