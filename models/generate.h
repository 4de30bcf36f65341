#pragma once

// Generation: reads prompts of text and images, then produces one token at a time; and scoring,
// which reads whole sequences. For sequences
// that arrive and end at different times, see decode_batch.h, which these functions use.

#include <functional>
#include <vector>

#include "models/decode_batch.h"

namespace vila::models {

struct GenerateOptions : DecodeOptions {
    // The prompt is read in chunks of this many rows; activations take memory for one chunk only.
    int64_t prefill_chunk = 512;
    // Called with every new token. Returns false to end generation after it.
    std::function<bool(int32_t id)> on_token;
};

// Returns the tokens that continue one sequence; its labels are ignored. Stops at a stop id, after
// max_tokens tokens, when on_token returns false, or when the model has no position left.
std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options);
// The same in a batch, which must hold no sequence. A beginning that the prompt shares with earlier
// ones of the batch is not computed again. Ignores options.prefill_chunk: the batch has its own.
std::vector<int32_t> generate(DecodeBatch& batch, const Sequence& prompt,
                              const GenerateOptions& options);

// Continues many sequences at once; prompts that begin alike share memory. Calls `on_token`, if
// given, with the index of the prompt and every new token; it ends that sequence by returning
// false. Ignores options.on_token. On a CPU the tokens are those that generate() returns for each
// prompt alone. An error of one sequence is thrown after the others are answered.
std::vector<std::vector<int32_t>> generate_many(
    const VilaModel& model, const std::vector<Sequence>& prompts, const GenerateOptions& options,
    const std::function<bool(size_t index, int32_t id)>& on_token = {});

// Reads sequences and returns for each the log probabilities of its targets, and the logits that
// follow its last row. Beginnings that sequences share are read once. On a CPU the result for a
// sequence does not depend on the others.
struct ScoredSequence {
    std::vector<double> target_logprobs;  // ln p of each target, in order
    std::vector<float> next_logits;       // (V)
};
std::vector<ScoredSequence> score_many(const VilaModel& model,
                                       const std::vector<Sequence>& sequences);

}  // namespace vila::models
