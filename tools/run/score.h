#pragma once

// Log probabilities of given continuations, for `vila score` and the choice tasks of `vila eval`.

#include <utility>
#include <vector>

#include "tools/run/prompt_builder.h"

namespace vila::tools {

struct Score {
    double target_logprob = 0.0;  // sum of ln p over the labeled tokens
    int64_t num_target_tokens = 0;
    std::vector<std::pair<int32_t, double>> top;  // the 5 most likely next tokens: (id, ln p)
};

// Scores the labeled tokens of a prompt.
Score score_prompt(const PromptBuilder& builder, const Prompt& prompt);

// The logits of all rows of a prompt, and its image tokens.
struct PromptTensors {
    Tensor logits;          // (T, V) f32, images expanded
    Tensor image_features;  // (n, N, C) f32 after the projector; (tokens of all images, C) if their
                            // numbers of tokens differ; undefined without images
};
PromptTensors prompt_tensors(const PromptBuilder& builder, const Prompt& prompt);

// Scores the prompts together and returns for each the sum of ln p over its labeled tokens. A
// beginning that prompts share is read once.
std::vector<double> target_logprobs(const PromptBuilder& builder,
                                    const std::vector<Prompt>& prompts);

}  // namespace vila::tools
