#pragma once

// Log probabilities of given continuations, for `vila score` and the choice tasks of `vila eval`.

#include <utility>
#include <vector>

#include "tools/run/loaded_model.h"

namespace vila::tools {

struct Score {
    double target_logprob = 0.0;  // sum of ln p over the labeled tokens
    int64_t num_target_tokens = 0;
    std::vector<std::pair<int32_t, double>> top;  // the 5 most likely next tokens: (id, ln p)
    Tensor logits;                                // (T, V) f32, with `keep`
    Tensor image_features;  // (n, N, C) f32 after the projector, with `keep`; (tokens of all
                            // images, C) if their numbers of tokens differ
};

// Runs a prompt. With `keep` the result holds logits and image features.
Score score_prompt(const LoadedModel& loaded, const Prompt& prompt, bool keep = false);

// Runs the prompts in one batch. Returns the sum of ln p over the labeled tokens of each.
std::vector<double> target_logprobs(const LoadedModel& loaded, const std::vector<Prompt>& prompts);

}  // namespace vila::tools
