#pragma once

// From the logits of the last row to the next token.

#include <cstdint>
#include <span>

namespace vila::models {

struct SamplerOptions {
    double temperature = 0.0;  // 0: the most probable token
    int64_t top_k = 0;         // keep that many of the most probable tokens; 0: all
    double top_p = 1.0;        // keep the most probable tokens up to this share; 1: all
    // Divides the positive and multiplies the negative logits of tokens that the prompt or the
    // answer already holds (Keskar et al. 2019, arXiv 1909.05858); 1: off.
    double repetition_penalty = 1.0;
    int64_t min_tokens = 0;  // no stop id before that many tokens
    uint64_t seed = 0;
};

// Whether the next token is the most probable one whatever was read and said: then its id alone is
// needed, not the logits.
bool takes_most_probable(const SamplerOptions& options);

// What repetition_penalty and min_tokens make of the logits (V) for token `step`, in place.
// `context` is everything read and said so far; ids outside the vocabulary (images) do not count.
// Throws when min_tokens leaves no token.
void adjust_logits(std::span<float> logits, const SamplerOptions& options,
                   std::span<const int32_t> context, std::span<const int32_t> stop_ids,
                   int64_t step);

// Token `step` of a sequence: a pure function of the options, the step and the logits (V), which
// are taken as they are. Equal logits count as ordered by id, lowest first. Temperature, then
// top-k, then top-p, as in Hugging Face generation.
int32_t sample_token(std::span<const float> logits, const SamplerOptions& options, int64_t step);

}  // namespace vila::models
