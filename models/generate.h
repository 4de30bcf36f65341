#pragma once

// Generation continues prompts of text and images, one token at a time. Scoring reads whole
// sequences and returns the log probabilities of their targets. These functions use DecodeBatch
// (decode_batch.h), which also handles sequences that arrive at different times.

#include <functional>
#include <vector>

#include "models/decode_batch.h"

namespace vila::models {

struct GenerateOptions : DecodeOptions {
    // Prompts are read in chunks of this many rows, which limits the memory for activations.
    int64_t prefill_chunk = 512;
    // Called with every new token. Returns false to end generation after it.
    std::function<bool(int32_t id)> on_token;
};

// Returns the tokens that continue one sequence; its labels are ignored. Stops at a stop id, after
// max_tokens tokens, when on_token returns false, or when the model has no position left. Returns
// no tokens if max_tokens is not positive.
std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options);
// Does the same in a batch, which must hold no sequence. If the prompt begins like an earlier one
// of the batch, that beginning is not computed again while its pages are in the cache. Ignores
// options.prefill_chunk: the batch has its own.
std::vector<int32_t> generate(DecodeBatch& batch, const Sequence& prompt,
                              const GenerateOptions& options);

// Continues many sequences at once and returns the tokens of each; a beginning that prompts share
// is read once. Calls `on_token`, if given, with the index of the prompt and every new token; it
// returns false to end that sequence. Ignores options.on_token. On a CPU the tokens are those that
// generate() returns for each prompt alone. An error while a sequence is read or continued is
// thrown after the others have ended; an invalid prompt is an error at once.
std::vector<std::vector<int32_t>> generate_many(
    const VilaModel& model, const std::vector<Sequence>& prompts, const GenerateOptions& options,
    const std::function<bool(size_t index, int32_t id)>& on_token = {});

struct ScoredSequence {
    std::vector<double> target_logprobs;  // ln p of each target, in order
    std::vector<float> next_logits;       // (V), the logits of the last row
};
// Reads sequences and returns the log probabilities of their targets. A beginning that sequences
// share is read once. On a CPU the result for a sequence does not depend on the others. Throws the
// first error of a sequence.
std::vector<ScoredSequence> score_many(const VilaModel& model,
                                       const std::vector<Sequence>& sequences);

}  // namespace vila::models
