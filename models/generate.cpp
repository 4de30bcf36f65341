#include "models/generate.h"

#include <algorithm>

#include "models/decode_graph.h"
#include "tensor/kernels.h"

namespace vila::models {

using autograd::Variable;

namespace {

// A sequence during generation.
struct SequenceState {
    std::unique_ptr<KvCache> cache;
    std::vector<int32_t> context;  // the ids of the prompt, then the generated ones
    std::vector<int32_t> tokens;   // generated so far
    std::vector<float> logits;     // (V) after the last position; empty for greedy sampling,
    int32_t argmax = 0;            // which needs only the index of the largest
    bool done = false;
};

// Copies the logits (B, V) of the next tokens, or for greedy sampling their argmax (B) i32, to the
// states of the B sequences.
void read_logits(const Tensor& logits, const Tensor& argmax, const GenerateOptions& options,
                 const std::vector<SequenceState*>& states) {
    if (is_greedy(options.sampling)) {
        const std::vector<int32_t> ids = argmax.to_vector<int32_t>();
        for (size_t b = 0; b < states.size(); ++b) states[b]->argmax = ids[b];
        return;
    }
    for (size_t b = 0; b < states.size(); ++b) {
        const auto row = static_cast<int64_t>(b);
        states[b]->logits = logits.slice(0, row, row + 1).to_vector<float>();
    }
}

void read_logits(const Tensor& logits, const GenerateOptions& options,
                 const std::vector<SequenceState*>& states) {
    const Tensor argmax = Tensor::empty(logits.device(), {logits.size(0)}, DType::I32);  // (B)
    call(logits.device(), "argmax", &Kernels::argmax, {.x = logits, .index = argmax});
    read_logits(logits, argmax, options, states);
}

// Reads a prompt of R rows, images included.
SequenceState prefill(const VilaModel& model, const Sequence& prompt,
                      const GenerateOptions& options) {
    const Sequence unlabeled = {prompt.ids, {}, prompt.images};
    const Batch batch = make_batch(model.device(), {unlabeled});
    const int64_t capacity =
        std::min(batch.rows() + options.max_tokens, model.config().llm.max_position_embeddings);
    SequenceState state;
    state.context.assign(prompt.ids.begin(), prompt.ids.end());
    state.cache = std::make_unique<KvCache>(model.config().llm, model.device(), model.dtype(),
                                            std::max(capacity, batch.rows()));
    const std::vector<KvCache*> caches = {state.cache.get()};
    const Tensor embeddings = model.embed(batch).value();  // (R, C)
    Tensor hidden;                                         // (rows of the last chunk, C)
    for (int64_t begin = 0; begin < batch.rows(); begin += options.prefill_chunk) {
        const int64_t end = std::min(begin + options.prefill_chunk, batch.rows());
        const std::vector<int64_t> rows = {end - begin};
        hidden = model.llm().decode(embeddings.slice(0, begin, end), rows, caches);
    }
    const int64_t rows = hidden.shape()[0];
    const Variable last(hidden.slice(0, rows - 1, rows));  // (1, C)
    read_logits(model.llm().logits(last).value(), options, {&state});
    return state;
}

// Chooses the next token. Ends the sequence at a stop id or when no token may follow.
void choose_token(SequenceState& state, const GenerateOptions& options) {
    const int64_t step = static_cast<int64_t>(state.tokens.size());
    int32_t id = state.argmax;
    if (!state.logits.empty()) {
        adjust_logits(state.logits, options.sampling, state.context, options.stop_ids, step);
        id = sample_token(state.logits, options.sampling, step);
    }
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end()) {
        state.done = true;
        return;
    }
    state.tokens.push_back(id);
    state.context.push_back(id);
    state.done = step + 1 >= options.max_tokens || state.cache->length() >= state.cache->capacity();
}

// One decode step of B sequences: reads the last token of each.
void decode_step(const VilaModel& model, const GenerateOptions& options,
                 const std::vector<SequenceState*>& states) {
    std::vector<int32_t> ids;
    std::vector<KvCache*> caches;
    for (const SequenceState* state : states) {
        ids.push_back(state->tokens.back());
        caches.push_back(state->cache.get());
    }
    const std::vector<int64_t> rows(states.size(), 1);
    const Tensor tokens =
        Tensor::from_values(model.device(), {static_cast<int64_t>(ids.size())}, ids);  // (B)
    const Tensor embeddings = model.llm().embed(tokens).value();                       // (B, C)
    const Tensor hidden = model.llm().decode(embeddings, rows, caches);                // (B, C)
    read_logits(model.llm().logits(Variable(hidden)).value(), options, states);
}

}  // namespace

std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options) {
    if (options.max_tokens <= 0) return {};
    const autograd::NoGrad no_grad(model.device());
    SequenceState state = prefill(model, prompt, options);
    DecodeGraph step(model, *state.cache);
    while (true) {
        const size_t before = state.tokens.size();
        choose_token(state, options);
        if (state.tokens.size() > before && options.on_token &&
            !options.on_token(state.tokens.back()))
            break;
        if (state.done) break;
        step.run(state.tokens.back());
        read_logits(step.logits(), step.argmax(), options, {&state});
    }
    return state.tokens;
}

std::vector<std::vector<int32_t>> generate_many(const VilaModel& model,
                                                const std::vector<Sequence>& prompts,
                                                const GenerateOptions& options) {
    std::vector<std::vector<int32_t>> results(prompts.size());
    if (options.max_tokens <= 0) return results;
    const autograd::NoGrad no_grad(model.device());
    std::vector<SequenceState> states;
    for (const Sequence& prompt : prompts) states.push_back(prefill(model, prompt, options));
    while (true) {
        std::vector<SequenceState*> active;
        for (SequenceState& state : states) {
            if (state.done) continue;
            choose_token(state, options);
            if (!state.done) active.push_back(&state);
        }
        if (active.empty()) break;
        decode_step(model, options, active);
    }
    for (size_t b = 0; b < prompts.size(); ++b) results[b] = std::move(states[b].tokens);
    return results;
}

}  // namespace vila::models
