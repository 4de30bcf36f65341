#pragma once

// Chooses the next token from the logits of the last row.

#include <cstdint>
#include <span>

namespace vila::models {

// The error for logits from which no token can be chosen.
inline constexpr const char* kNotFinite =
    "the logits of the model are not finite numbers: its weights may be damaged";

struct SamplerOptions {
    double temperature = 0.0;  // 0: greedy, the most probable token
    int64_t top_k = 0;         // keep this many of the most probable tokens; 0: all
    double top_p = 1.0;        // keep the most probable tokens up to this total probability; 1: all
    // Divides the positive and multiplies the negative logits of tokens that the prompt or the
    // answer already contains (Keskar et al. 2019, arXiv 1909.05858); 1: off.
    double repetition_penalty = 1.0;
    int64_t min_tokens = 0;  // the fewest tokens before a stop id
    uint64_t seed = 0;
};

// Whether the next token is the argmax of the logits for any context. Then the logits themselves
// are not needed. Invalid options are not greedy, so that sampling reports them.
bool is_greedy(const SamplerOptions& options);

// Applies repetition_penalty and min_tokens to the logits (V) of token `step`, in place. `context`
// holds the ids of the prompt and of the answer so far; ids outside the vocabulary (images) are
// ignored. Throws if an option is out of range, or if min_tokens leaves no token.
void adjust_logits(std::span<float> logits, const SamplerOptions& options,
                   std::span<const int32_t> context, std::span<const int32_t> stop_ids,
                   int64_t step);

// Samples token `step` of a sequence: a pure function of the options, the step and the logits (V),
// which are used unchanged. Equal logits are ordered by id, lowest first. Applies temperature, then
// top-k, then top-p, as generation in Hugging Face transformers does. Throws if there are no logits
// or an option is out of range.
int32_t sample_token(std::span<const float> logits, const SamplerOptions& options, int64_t step);

// Returns ln sum exp of logits (V), in f64: ln p of a token is its logit minus this.
double log_sum_exp(std::span<const float> logits);

}  // namespace vila::models
