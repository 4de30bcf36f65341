#include "models/generate.h"

namespace vila::models {

std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options) {
    if (options.max_tokens <= 0) return {};
    DecodeBatch batch(model, {.pages = DecodeBatch::pages_for(model, prompt, options),
                              .prefill_chunk = options.prefill_chunk});
    return generate(batch, prompt, options);
}

std::vector<int32_t> generate(DecodeBatch& batch, const Sequence& prompt,
                              const GenerateOptions& options) {
    if (options.max_tokens <= 0) return {};
    VILA_CHECK(batch.idle(), "[generate] the batch holds other sequences: expected none");
    DecodeBatch::OnToken on_token;
    if (options.on_token)
        on_token = [&](int64_t /*id*/, int32_t token) { return options.on_token(token); };
    const int64_t id = batch.add(prompt, options, std::move(on_token));
    try {
        while (true)
            for (Answer& answer : batch.step()) {
                if (answer.error) std::rethrow_exception(answer.error);
                return std::move(answer.tokens);
            }
    } catch (...) {
        batch.cancel(id);
        throw;
    }
}

std::vector<std::vector<int32_t>> generate_many(
    const VilaModel& model, const std::vector<Sequence>& prompts, const GenerateOptions& options,
    const std::function<bool(size_t index, int32_t id)>& on_token) {
    std::vector<std::vector<int32_t>> results(prompts.size());
    if (options.max_tokens <= 0 || prompts.empty()) return results;
    DecodeBatchOptions batch_options;
    batch_options.prefill_chunk = options.prefill_chunk;
    batch_options.pages = DecodeBatch::pages_for(model, prompts, options);
    DecodeBatch batch(model, batch_options);
    for (const Sequence& prompt : prompts) {  // the ids are the indices of the prompts
        DecodeBatch::OnToken call;
        if (on_token)
            call = [&](int64_t id, int32_t token) {
                return on_token(static_cast<size_t>(id), token);
            };
        batch.add(prompt, options, std::move(call));
    }
    std::exception_ptr error;
    while (!batch.idle())
        for (Answer& answer : batch.step()) {
            results[static_cast<size_t>(answer.id)] = std::move(answer.tokens);
            if (answer.error && !error) error = answer.error;
        }
    if (error) std::rethrow_exception(error);
    return results;
}

std::vector<ScoredSequence> score_many(const VilaModel& model,
                                       const std::vector<Sequence>& sequences) {
    std::vector<ScoredSequence> results(sequences.size());
    if (sequences.empty()) return results;
    DecodeBatchOptions options;
    options.pages = DecodeBatch::pages_for(model, sequences, {.max_tokens = 1});
    DecodeBatch batch(model, options);
    for (const Sequence& sequence : sequences) batch.add_scored(sequence);
    while (!batch.idle())
        for (Answer& answer : batch.step()) {
            if (answer.error) std::rethrow_exception(answer.error);
            results[static_cast<size_t>(answer.id)] = {std::move(answer.target_logprobs),
                                                       std::move(answer.next_logits)};
        }
    return results;
}

}  // namespace vila::models
