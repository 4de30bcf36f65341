#pragma once

// Probabilities of given continuations: what `vila score` prints and what the choice tasks of
// `vila eval` compare.

#include <utility>
#include <vector>

#include "tools/run/loaded_model.h"

namespace vila::tools {

struct Score {
    double target_logprob = 0.0;  // sum of ln p over the labelled tokens
    int64_t num_target_tokens = 0;
    std::vector<std::pair<int32_t, double>> top;  // the 5 best after the last position: (id, ln p)
    Tensor logits;                                // (T, V) f32, when asked for
    Tensor image_features;  // (n, N, C) f32 after the projector, when asked for
};

// Runs the prompt once. `keep` also returns logits and image features.
Score score_prompt(const LoadedModel& loaded, const Prompt& prompt, bool keep = false);

// The sum of ln p over the labelled tokens of each prompt, all run together.
std::vector<double> target_logprobs(const LoadedModel& loaded, const std::vector<Prompt>& prompts);

}  // namespace vila::tools
