#pragma once

// From the logits of the last row to the next token.

#include <cstdint>
#include <span>

namespace vila::models {

struct SamplerOptions {
    double temperature = 0.0;  // 0: the most probable token
    int64_t top_k = 0;         // keep that many of the most probable tokens; 0: all
    double top_p = 1.0;        // keep the most probable tokens up to this share; 1: all
    uint64_t seed = 0;
};

// Token `step` of a sequence: a pure function of the options, the step and the logits (V). Equal
// logits count as ordered by id, lowest first. Temperature, then top-k, then top-p, as in Hugging
// Face generation.
int32_t sample_token(std::span<const float> logits, const SamplerOptions& options, int64_t step);

}  // namespace vila::models
