#pragma once

// Generation: reads a prompt with images, then one token after the other.

#include <functional>
#include <vector>

#include "models/sampler.h"
#include "models/vila.h"

namespace vila::models {

struct GenerateOptions {
    int64_t max_tokens = 128;       // new tokens at most
    std::vector<int32_t> stop_ids;  // end generation; are not part of the result
    SamplerOptions sampling;
    // A prompt is read in pieces of so many rows: activations take memory for one piece only.
    int64_t prefill_rows = 512;
    // Told of every token as it comes; false ends generation after it.
    std::function<bool(int32_t id)> on_token;
};

// Continues one sequence (labels are ignored). Stops at a stop id, at max_tokens, or when the
// positions of the model are used up.
std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options);

// Continues many sequences at once: the same tokens as generate() gives for each alone, since a
// row's bits do not depend on its neighbours. on_token is not called.
std::vector<std::vector<int32_t>> generate_many(const VilaModel& model,
                                                const std::vector<Sequence>& prompts,
                                                const GenerateOptions& options);

}  // namespace vila::models
