#include "models/generate.h"

#include <algorithm>

#include "models/token_step.h"
#include "tensor/kernels.h"

namespace vila::models {

using autograd::Variable;

namespace {

// One sequence while it grows.
struct Growing {
    std::unique_ptr<KvCache> cache;
    std::vector<int32_t> context;  // the prompt's ids, then the generated ones
    std::vector<int32_t> tokens;   // generated so far
    std::vector<float> logits;     // after the last position, or empty:
    int32_t most_probable = 0;     // then this is all that is asked for
    bool done = false;
};

// What logits (B, V), largest at columns most_probable (B), say of the next tokens.
void look(const Tensor& logits, const Tensor& most_probable, const GenerateOptions& options,
          const std::vector<Growing*>& growing) {
    if (takes_most_probable(options.sampling)) {
        const std::vector<int32_t> ids = most_probable.to_vector<int32_t>();
        for (size_t b = 0; b < growing.size(); ++b) growing[b]->most_probable = ids[b];
        return;
    }
    for (size_t b = 0; b < growing.size(); ++b) {
        const auto row = static_cast<int64_t>(b);
        growing[b]->logits = logits.slice(0, row, row + 1).to_vector<float>();
    }
}

void look(const Tensor& logits, const GenerateOptions& options,
          const std::vector<Growing*>& growing) {
    const Tensor most_probable = Tensor::empty(logits.device(), {logits.size(0)}, DType::I32);
    call(logits.device(), "argmax", &Kernels::argmax, {.x = logits, .index = most_probable});
    look(logits, most_probable, options, growing);
}

Growing prefill(const VilaModel& model, const Sequence& prompt, const GenerateOptions& options) {
    const Sequence unlabelled = {prompt.ids, {}, prompt.images};
    const Batch batch = make_batch(model.device(), {unlabelled}, model.config().tokens_per_image());
    const int64_t capacity =
        std::min(batch.rows() + options.max_tokens, model.config().llm.max_position_embeddings);
    Growing growing;
    growing.context.assign(prompt.ids.begin(), prompt.ids.end());
    growing.cache = std::make_unique<KvCache>(model.config().llm, model.device(), model.dtype(),
                                              std::max(capacity, batch.rows()));
    const std::vector<KvCache*> caches = {growing.cache.get()};
    const Tensor embeddings = model.embed(batch).value();
    Tensor hidden;
    for (int64_t begin = 0; begin < batch.rows(); begin += options.prefill_rows) {
        const int64_t end = std::min(begin + options.prefill_rows, batch.rows());
        const std::vector<int64_t> rows = {end - begin};
        hidden = model.llm().decode(embeddings.slice(0, begin, end), rows, caches);
    }
    const int64_t rows = hidden.shape()[0];
    const Variable last(hidden.slice(0, rows - 1, rows));
    look(model.llm().logits(last).value(), options, {&growing});
    return growing;
}

// Chooses the next token; ends the sequence at a stop id.
void choose(Growing& growing, const GenerateOptions& options) {
    const int64_t step = static_cast<int64_t>(growing.tokens.size());
    int32_t id = growing.most_probable;
    if (!growing.logits.empty()) {
        adjust_logits(growing.logits, options.sampling, growing.context, options.stop_ids, step);
        id = sample_token(growing.logits, options.sampling, step);
    }
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end()) {
        growing.done = true;
        return;
    }
    growing.tokens.push_back(id);
    growing.context.push_back(id);
    growing.done =
        step + 1 >= options.max_tokens || growing.cache->length() >= growing.cache->capacity();
}

// Runs the last token of every sequence that goes on.
void advance(const VilaModel& model, const GenerateOptions& options,
             const std::vector<Growing*>& growing) {
    std::vector<int32_t> ids;
    std::vector<KvCache*> caches;
    for (const Growing* sequence : growing) {
        ids.push_back(sequence->tokens.back());
        caches.push_back(sequence->cache.get());
    }
    const std::vector<int64_t> rows(growing.size(), 1);
    const Tensor tokens =
        Tensor::from_values(model.device(), {static_cast<int64_t>(ids.size())}, ids);
    const Tensor hidden = model.llm().decode(model.llm().embed(tokens).value(), rows, caches);
    look(model.llm().logits(Variable(hidden)).value(), options, growing);
}

}  // namespace

std::vector<int32_t> generate(const VilaModel& model, const Sequence& prompt,
                              const GenerateOptions& options) {
    if (options.max_tokens <= 0) return {};
    const autograd::NoGrad no_grad(model.device());
    Growing growing = prefill(model, prompt, options);
    TokenStep step(model, *growing.cache);
    while (true) {
        const size_t before = growing.tokens.size();
        choose(growing, options);
        if (growing.tokens.size() > before && options.on_token &&
            !options.on_token(growing.tokens.back()))
            break;
        if (growing.done) break;
        step.run(growing.tokens.back());
        look(step.logits(), step.most_probable(), options, {&growing});
    }
    return growing.tokens;
}

std::vector<std::vector<int32_t>> generate_many(const VilaModel& model,
                                                const std::vector<Sequence>& prompts,
                                                const GenerateOptions& options) {
    std::vector<std::vector<int32_t>> results(prompts.size());
    if (options.max_tokens <= 0) return results;
    const autograd::NoGrad no_grad(model.device());
    std::vector<Growing> sequences;
    for (const Sequence& prompt : prompts) sequences.push_back(prefill(model, prompt, options));
    while (true) {
        std::vector<Growing*> active;
        for (Growing& sequence : sequences) {
            if (sequence.done) continue;
            choose(sequence, options);
            if (!sequence.done) active.push_back(&sequence);
        }
        if (active.empty()) break;
        advance(model, options, active);
    }
    for (size_t b = 0; b < prompts.size(); ++b) results[b] = std::move(sequences[b].tokens);
    return results;
}

}  // namespace vila::models
