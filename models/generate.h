#pragma once

// Generation: reads a prompt of text and images, then produces one token at a time.

#include <functional>
#include <vector>

#include "models/sampler.h"
#include "models/vila.h"

namespace vila::models {

struct GenerateOptions {
    int64_t max_tokens = 128;       // the largest number of new tokens
    std::vector<int32_t> stop_ids;  // each ends generation and is not part of the result
    SamplerOptions sampling;
    // The prompt is read in chunks of this many rows; activations take memory for one chunk only.
    int64_t prefill_chunk = 512;
    // Called with every new token. Returns false to end generation after it.
    std::function<bool(int32_t id)> on_token;
};

// Returns the tokens that continue one sequence; its labels are ignored. Stops at a stop id, after
// max_tokens tokens, when on_token returns false, or when the model has no position left.
std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options);

// Continues many sequences at once. Does not call on_token. On a CPU the tokens are those that
// generate() returns for each prompt alone, because the bits of a row do not depend on the other
// rows. On a GPU with cuBLASLt they may depend on the number of rows (cuda/README.md).
std::vector<std::vector<int32_t>> generate_many(const VilaModel& model,
                                                const std::vector<Sequence>& prompts,
                                                const GenerateOptions& options);

}  // namespace vila::models
