#include "models/decode_batch.h"

#include <algorithm>

#include "autograd/ops.h"
#include "models/decode_graph.h"
#include "models/row_keys.h"

namespace vila::models {

using autograd::Variable;

namespace {

int64_t pages_for_rows(const VilaModel& model, int64_t rows, const DecodeOptions& options) {
    // The last token needs no position, because nothing follows it.
    const int64_t positions =
        std::min(rows + options.max_tokens - 1, model.config().llm.max_position_embeddings);
    return KvCache::pages_for(std::max(positions, rows));
}

Tensor argmax_of(const Tensor& logits) {
    const Tensor argmax = Tensor::empty(logits.device(), {logits.size(0)}, DType::I32);  // (M)
    call(logits.device(), "argmax", &Kernels::argmax, {.x = logits, .index = argmax});
    return argmax;
}

}  // namespace

struct DecodeBatch::State {
    enum class Phase { Waiting, Reading, Decoding, Ended };

    int64_t id = 0;
    DecodeOptions options;
    OnToken on_token;
    Phase phase = Phase::Waiting;
    CachedSequence cached;

    // The prompt, until it is embedded.
    std::vector<std::vector<float>> image_values;
    std::vector<HostImage> images;
    std::vector<RowKey> keys;         // one for each row of the prompt; empty: shares no pages
    int64_t rows = 0;                 // of the prompt
    Tensor embeddings;                // (rows, C), until the prompt is read
    std::vector<int32_t> image_rows;  // of the prompt, if the language model asks for them

    std::vector<int32_t> context;  // the ids of the prompt, then the new ones
    std::vector<int32_t> tokens;   // the new ones
    std::unique_ptr<DecodeGraph> graph;
    Answer answer;
};

// The rows of a step: one for each sequence in `decoding`, then counts[i] rows of the prompt of
// reading[i].
struct DecodeBatch::Rows {
    std::vector<State*> decoding, reading;
    std::vector<int64_t> counts;
};

DecodeBatch::DecodeBatch(const VilaModel& model, const DecodeBatchOptions& options)
    : model_(model),
      options_(options),
      cache_(model.config().llm, model.device(), model.dtype(), options.pages),
      pool_(options.pages) {
    VILA_CHECK(options.prefill_chunk > 0 && options.prefill_rows > 0, "[decode] prefill_chunk is ",
               options.prefill_chunk, " and prefill_rows is ", options.prefill_rows,
               ": expected positive numbers");
}

DecodeBatch::~DecodeBatch() = default;

int64_t DecodeBatch::pages_for(const VilaModel& model, const Sequence& prompt,
                               const DecodeOptions& options) {
    return pages_for_rows(model, static_cast<int64_t>(row_keys(prompt).size()), options);
}

int64_t DecodeBatch::add(const Sequence& prompt, const DecodeOptions& options, OnToken on_token) {
    VILA_CHECK(options.max_tokens > 0, "[decode] max_tokens is ", options.max_tokens,
               ": expected a positive number");
    VILA_CHECK(!prompt.ids.empty(), "[decode] the prompt has no ids: expected at least one");
    auto state = std::make_unique<State>();
    state->keys = row_keys(prompt);
    state->rows = static_cast<int64_t>(state->keys.size());
    const int64_t positions = model_.config().llm.max_position_embeddings;
    VILA_CHECK(state->rows <= positions, "a prompt of ", state->rows,
               " positions (images included): the model has ", positions);
    const int64_t pages = pages_for_rows(model_, state->rows, options);
    VILA_CHECK(pages <= cache_.pages(), "a prompt of ", state->rows, " positions and ",
               options.max_tokens, " new tokens take ", pages, " pages of ", kPageRows,
               " positions: the key-value cache has ", cache_.pages(), " pages");
    if (!options_.share_prefixes) state->keys.clear();
    state->options = options;
    state->on_token = std::move(on_token);
    state->context.assign(prompt.ids.begin(), prompt.ids.end());
    for (const HostImage& image : prompt.images) {
        const auto& values =
            state->image_values.emplace_back(image.values.begin(), image.values.end());
        state->images.push_back(image);
        state->images.back().values = values;
    }
    state->id = next_id_++;
    states_.push_back(std::move(state));
    return states_.back()->id;
}

bool DecodeBatch::cancel(int64_t id) {
    const auto found = std::find_if(states_.begin(), states_.end(), [&](const auto& state) {
        return state->id == id && state->phase != State::Phase::Ended;
    });
    if (found == states_.end()) return false;
    end(**found, Ending::Caller);
    (*found)->id = -1;  // no answer
    if (!stepping_) states_.erase(found);
    return true;
}

std::vector<Answer> DecodeBatch::step() {
    const autograd::NoGrad no_grad(model_.device());
    struct Stepping {
        bool& flag;
        explicit Stepping(bool& flag) : flag(flag) { flag = true; }
        ~Stepping() { flag = false; }
    } const stepping(stepping_);
    admit();
    const Rows rows = next_rows();
    if (rows.decoding.size() == 1 && rows.reading.empty()) {
        forward_one(*rows.decoding[0]);
    } else if (!rows.decoding.empty() || !rows.reading.empty()) {
        forward(rows);
    }
    std::vector<Answer> answers;
    for (auto state = states_.begin(); state != states_.end();) {
        if ((*state)->phase != State::Phase::Ended) {
            ++state;
            continue;
        }
        if ((*state)->id >= 0) answers.push_back(std::move((*state)->answer));
        state = states_.erase(state);
    }
    return answers;
}

// Gives pages to waiting sequences, in the order of their arrival. A sequence whose prompt begins
// like one that is being read keeps waiting, to share its pages; later sequences may overtake it.
void DecodeBatch::admit() {
    int64_t running = 0;
    for (const auto& state : states_)
        running += state->phase == State::Phase::Reading || state->phase == State::Phase::Decoding;
    for (const auto& state : states_) {
        if (state->phase != State::Phase::Waiting) continue;
        if (options_.max_sequences > 0 && running >= options_.max_sequences) return;
        PagePool::Prefix prefix = pool_.find(state->keys);
        if (prefix.pending) continue;
        prefix.pages = usable_prefix(*state, std::move(prefix.pages));
        const auto shared = static_cast<int64_t>(prefix.pages.size());
        const int64_t pages = pages_for_rows(model_, state->rows, state->options);
        state->cached.pages = pool_.take(prefix.pages, pages - shared, state->keys);
        if (state->cached.pages.empty()) return;
        state->cached.length = shared * kPageRows;
        state->phase = State::Phase::Reading;
        ++running;
    }
}

// Returns the end of the chunk of the prompt that holds `row`.
int64_t DecodeBatch::chunk_end(const State& state, int64_t row) const {
    return std::min((row / options_.prefill_chunk + 1) * options_.prefill_chunk, state.rows);
}

// Returns the leading `pages` that the sequence may use. The last row of a prompt is always
// computed, for its logits. Attention sums at most kDecodeQueries new rows in another order than
// more rows, so a chunk with more rows must not be left with so few.
std::vector<int32_t> DecodeBatch::usable_prefix(const State& state,
                                                std::vector<int32_t> pages) const {
    for (; !pages.empty(); pages.pop_back()) {
        const int64_t row = static_cast<int64_t>(pages.size()) * kPageRows;
        if (row >= state.rows) continue;
        const int64_t begin = row / options_.prefill_chunk * options_.prefill_chunk;
        const int64_t end = chunk_end(state, row);
        if (end - row > kDecodeQueries || end - begin <= kDecodeQueries || row == begin) break;
    }
    return pages;
}

// Embeds the prompt of a sequence, images included.
void DecodeBatch::embed_prompt(State& state) const {
    if (state.embeddings.defined()) return;
    const Sequence prompt = {state.context, {}, state.images};
    const Batch batch = make_batch(model_.device(), {prompt});
    state.embeddings = model_.embed(batch).value();
    if (model_.llm().uses_image_rows()) state.image_rows = batch.image_rows.to_vector<int32_t>();
    state.images.clear();
    state.image_values.clear();
}

DecodeBatch::Rows DecodeBatch::next_rows() {
    Rows rows;
    int64_t prompt_rows = 0;
    bool full = false;
    for (const auto& state : states_) {
        if (state->phase == State::Phase::Decoding) rows.decoding.push_back(state.get());
        if (state->phase != State::Phase::Reading || full) continue;
        const int64_t begin = state->cached.length, count = chunk_end(*state, begin) - begin;
        full = prompt_rows > 0 && prompt_rows + count > options_.prefill_rows;
        if (full) continue;
        try {
            embed_prompt(*state);
        } catch (const std::exception&) {
            end(*state, Ending::Error, std::current_exception());
            continue;
        }
        rows.reading.push_back(state.get());
        rows.counts.push_back(count);
        prompt_rows += count;
    }
    return rows;
}

// Decodes one token of one sequence by replaying recorded launches.
void DecodeBatch::forward_one(State& state) {
    if (!state.graph) state.graph = std::make_unique<DecodeGraph>(model_, cache_, state.cached);
    state.graph->run(state.tokens.back());
    const Tensor logits = state.graph->logits(), argmax = state.graph->argmax();
    add_tokens({&state}, logits, argmax);
}

// The rows of image tokens in a step: (M) i32, or undefined if there are none.
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

void DecodeBatch::forward(const Rows& rows) {
    const Llama& llm = model_.llm();
    Device& device = model_.device();
    const auto B = static_cast<int64_t>(rows.decoding.size());
    std::vector<int32_t> ids;
    std::vector<int64_t> counts(rows.decoding.size(), 1);
    std::vector<const CachedSequence*> sequences;
    for (const State* state : rows.decoding) {
        ids.push_back(state->tokens.back());
        sequences.push_back(&state->cached);
    }
    int64_t R = B;
    for (size_t i = 0; i < rows.reading.size(); ++i) {
        counts.push_back(rows.counts[i]);
        sequences.push_back(&rows.reading[i]->cached);
        R += rows.counts[i];
    }
    CachedRows cached =
        cached_rows(device, counts, sequences, model_.config().llm.max_position_embeddings);
    cached.image_rows = image_rows(rows);

    Tensor embeddings;  // (B, C), then (R, C)
    if (B > 0) embeddings = llm.embed(Tensor::from_values(device, {B}, ids)).value();
    if (R > B) {
        const Tensor tokens = embeddings;
        embeddings = Tensor::empty(device, {R, model_.config().llm.hidden_size}, model_.dtype());
        if (B > 0) embeddings.slice(0, 0, B).copy_from(tokens);
        int64_t row = B;
        for (size_t i = 0; i < rows.reading.size(); ++i) {
            const int64_t begin = rows.reading[i]->cached.length, count = rows.counts[i];
            embeddings.slice(0, row, row + count)
                .copy_from(rows.reading[i]->embeddings.slice(0, begin, begin + count));
            row += count;
        }
    }
    Tensor hidden = llm.decode(embeddings, cached, cache_);  // (R, C)

    std::vector<State*> predicted = rows.decoding;  // sequences that get a token
    std::vector<int32_t> last_rows;                 // and their last rows
    for (State* state : rows.decoding) {
        last_rows.push_back(static_cast<int32_t>(last_rows.size()));
        ++state->cached.length;
    }
    int64_t row = B;
    for (size_t i = 0; i < rows.reading.size(); ++i) {
        State& state = *rows.reading[i];
        row += rows.counts[i];
        state.cached.length += rows.counts[i];
        pool_.set_filled(state.cached.pages, std::min(state.cached.length, state.rows));
        if (state.cached.length < state.rows) continue;
        state.embeddings = {};
        state.phase = State::Phase::Decoding;
        predicted.push_back(&state);
        last_rows.push_back(static_cast<int32_t>(row - 1));
    }
    if (predicted.empty()) return;
    const auto M = static_cast<int64_t>(predicted.size());
    if (R > B)
        hidden =
            autograd::gather_rows(Variable(hidden), Tensor::from_values(device, {M}, last_rows))
                .value();
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

void DecodeBatch::end(State& state, Ending ending, std::exception_ptr error) {
    if (state.phase == State::Phase::Ended) return;
    state.phase = State::Phase::Ended;
    state.graph.reset();
    state.embeddings = {};
    pool_.release(state.cached.pages);
    state.cached = {};
    state.answer = {state.id, std::move(state.tokens), ending, std::move(error)};
}

DecodeBatchStats DecodeBatch::stats() const {
    DecodeBatchStats stats;
    stats.pages = pool_.stats();
    for (const auto& state : states_) {
        stats.waiting += state->phase == State::Phase::Waiting;
        stats.reading += state->phase == State::Phase::Reading;
        stats.decoding += state->phase == State::Phase::Decoding;
    }
    return stats;
}

}  // namespace vila::models
