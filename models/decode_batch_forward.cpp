// The forward pass of a step of DecodeBatch, and the tokens that follow from it.

#include <algorithm>
#include <numeric>

#include "autograd/ops.h"
#include "models/decode_state.h"

namespace vila::models {

using autograd::Variable;

namespace {

Tensor argmax_of(const Tensor& logits) {
    const Tensor argmax = Tensor::empty(logits.device(), {logits.size(0)}, DType::I32);  // (M)
    call(logits.device(), "argmax", &Kernels::argmax, {.x = logits, .index = argmax});
    return argmax;
}

}  // namespace

// Embeds the whole prompt of a sequence, images included, if that has not been done yet.
void DecodeBatch::embed_prompt(State& state) const {
    if (state.embeddings.defined()) return;
    const Sequence prompt = {state.context, {}, state.images};
    const Batch batch = make_batch(model_.device(), {prompt});
    state.embeddings = model_.embed(batch).value();
    if (model_.llm().uses_image_rows()) state.image_rows = batch.image_rows.to_vector<int32_t>();
    state.images.clear();
    state.image_values.clear();
}

// Decodes one token of a single sequence. The first call records the kernel launches; later calls
// replay them.
void DecodeBatch::forward_one(State& state) {
    if (!state.graph) state.graph = std::make_unique<DecodeGraph>(model_, cache_, state.cached);
    state.graph->run(state.tokens.back());
    const Tensor logits = state.graph->logits(), argmax = state.graph->argmax();
    add_tokens({&state}, logits, argmax);
}

// Returns the rows of image tokens in a step: (M) i32, or undefined if there are none.
Tensor DecodeBatch::image_rows(const Rows& rows) const {
    std::vector<int32_t> found;
    auto row = static_cast<int64_t>(rows.decoding.size());  // the first of reading[i]
    for (size_t i = 0; i < rows.reading.size(); ++i) {
        const int64_t begin = rows.reading[i]->cached.length, count = rows.counts[i];
        for (const int32_t image_row : rows.reading[i]->image_rows)
            if (begin <= image_row && image_row < begin + count)
                found.push_back(static_cast<int32_t>(row + image_row - begin));
        row += count;
    }
    if (found.empty()) return {};
    return Tensor::from_values(model_.device(), {static_cast<int64_t>(found.size())}, found);
}

// Returns the embeddings of the rows of a step: (R, C).
Tensor DecodeBatch::embeddings(const Rows& rows) const {
    Device& device = model_.device();
    const auto B = static_cast<int64_t>(rows.decoding.size());
    std::vector<int32_t> ids;
    for (const State* state : rows.decoding) ids.push_back(state->tokens.back());
    Tensor tokens;  // (B, C)
    if (B > 0) tokens = model_.llm().embed(Tensor::from_values(device, {B}, ids)).value();
    if (rows.reading.empty()) return tokens;
    const int64_t R = std::accumulate(rows.counts.begin(), rows.counts.end(), B);
    const Tensor all =
        Tensor::empty(device, {R, model_.config().llm.hidden_size}, model_.dtype());  // (R, C)
    if (B > 0) all.slice(0, 0, B).copy_from(tokens);
    int64_t row = B;
    for (size_t i = 0; i < rows.reading.size(); ++i) {
        const int64_t begin = rows.reading[i]->cached.length, count = rows.counts[i];
        all.slice(0, row, row + count)
            .copy_from(rows.reading[i]->embeddings.slice(0, begin, begin + count));
        row += count;
    }
    return all;
}

// Returns the positions of the rows of a step, their places in the cache, and the rows of images.
CachedRows DecodeBatch::places(const Rows& rows) const {
    std::vector<int64_t> counts(rows.decoding.size(), 1);
    counts.insert(counts.end(), rows.counts.begin(), rows.counts.end());
    std::vector<const CachedSequence*> sequences;
    for (const State* state : rows.decoding) sequences.push_back(&state->cached);
    for (const State* state : rows.reading) sequences.push_back(&state->cached);
    CachedRows cached = cached_rows(model_.device(), counts, sequences,
                                    model_.config().llm.max_position_embeddings);
    cached.image_rows = image_rows(rows);
    return cached;
}

// Marks the rows of a step as read and ends the scored sequences that have been read to the end.
// Returns the sequences that get a token in this step, and appends the last row of each to
// `last_rows`.
std::vector<DecodeBatch::State*> DecodeBatch::advance(const Rows& rows,
                                                      std::vector<int32_t>& last_rows) {
    std::vector<State*> predicted = rows.decoding;
    for (State* state : rows.decoding) {
        last_rows.push_back(static_cast<int32_t>(last_rows.size()));
        ++state->cached.length;
    }
    auto row = static_cast<int64_t>(rows.decoding.size());
    for (size_t i = 0; i < rows.reading.size(); ++i) {
        State& state = *rows.reading[i];
        row += rows.counts[i];
        state.cached.length += rows.counts[i];
        pool_.set_filled(state.cached.pages, state.cached.length);
        if (state.cached.length < state.rows) continue;
        if (state.scored) {
            end(state, Ending::Scored);
            continue;
        }
        state.embeddings = {};
        state.phase = State::Phase::Decoding;
        predicted.push_back(&state);
        last_rows.push_back(static_cast<int32_t>(row - 1));
    }
    return predicted;
}

void DecodeBatch::forward(const Rows& rows) {
    const Llama& llm = model_.llm();
    Tensor hidden = llm.decode(embeddings(rows), places(rows), cache_);  // (R, C)
    score_rows(rows, hidden);
    std::vector<int32_t> last_rows;
    const std::vector<State*> predicted = advance(rows, last_rows);
    if (predicted.empty()) return;
    if (!rows.reading.empty()) {
        const auto M = static_cast<int64_t>(last_rows.size());
        const Tensor index = Tensor::from_values(model_.device(), {M}, last_rows);
        hidden = autograd::gather_rows(Variable(hidden), index).value();  // (M, C)
    }
    const Tensor logits = llm.logits(Variable(hidden)).value();  // (M, V)
    add_tokens(predicted, logits, argmax_of(logits));
}

// Gives each sequence the token that follows from its row of the logits (M, V).
void DecodeBatch::add_tokens(const std::vector<State*>& states, const Tensor& logits,
                             const Tensor& argmax) {
    std::vector<int32_t> best(states.size());
    if (std::any_of(states.begin(), states.end(),
                    [](const State* state) { return is_greedy(state->options.sampling); }))
        best = argmax.to_vector<int32_t>();
    for (size_t i = 0; i < states.size(); ++i) {
        const auto row = static_cast<int64_t>(i);
        if (states[i]->phase == State::Phase::Ended) continue;  // cancelled by an earlier on_token
        try {
            add_token(*states[i], logits.slice(0, row, row + 1), best[i]);
        } catch (const std::exception&) {
            end(*states[i], Ending::Error, std::current_exception());
        }
    }
}

void DecodeBatch::add_token(State& state, const Tensor& logits, int32_t argmax) {
    const DecodeOptions& options = state.options;
    const auto step = static_cast<int64_t>(state.tokens.size());
    int32_t token = argmax;
    if (!is_greedy(options.sampling)) {
        std::vector<float> values = logits.to_vector<float>();  // (V)
        adjust_logits(values, options.sampling, state.context, options.stop_ids, step);
        token = sample_token(values, options.sampling, step);
    }
    VILA_CHECK(token >= 0, kNotFinite);
    const std::vector<int32_t>& stops = options.stop_ids;
    if (std::find(stops.begin(), stops.end(), token) != stops.end())
        return end(state, Ending::StopId);
    state.tokens.push_back(token);
    state.context.push_back(token);
    const bool goes_on = !state.on_token || state.on_token(state.id, token);
    const bool is_full = step + 1 >= options.max_tokens ||
                         state.cached.length >= model_.config().llm.max_position_embeddings;
    if (!goes_on) {
        end(state, Ending::Caller);
    } else if (is_full) {
        end(state, Ending::Length);
    }
}

}  // namespace vila::models
