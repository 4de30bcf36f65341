#pragma once

// Generation: reads a prompt with images, then produces one token at a time.

#include <functional>
#include <vector>

#include "models/sampler.h"
#include "models/vila.h"

namespace vila::models {

struct GenerateOptions {
    int64_t max_tokens = 128;       // the most new tokens
    std::vector<int32_t> stop_ids;  // end generation; not part of the result
    SamplerOptions sampling;
    // Rows of the prompt that are read at once. Activations take memory for one chunk only.
    int64_t prefill_chunk = 512;
    // Called with every new token. Returns false to end generation after it.
    std::function<bool(int32_t id)> on_token;
};

// Continues one sequence; its labels are ignored. Stops at a stop id, at max_tokens, or when the
// positions of the model are used up.
std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options);

// Continues many sequences at once. Returns the same tokens as generate() for each prompt alone,
// because the bits of a row do not depend on its neighbors. Does not call on_token.
std::vector<std::vector<int32_t>> generate_many(const VilaModel& model,
                                                const std::vector<Sequence>& prompts,
                                                const GenerateOptions& options);

}  // namespace vila::models
