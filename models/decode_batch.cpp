#include "models/decode_batch.h"

#include <algorithm>
#include <unordered_set>

#include "models/decode_state.h"
#include "models/row_keys.h"
#include "tensor/random.h"

namespace vila::models {

namespace {

int64_t pages_for_rows(const VilaModel& model, int64_t rows, const DecodeOptions& options) {
    // The last token needs no position, because nothing follows it.
    const int64_t most = model.config().llm.max_position_embeddings;
    const int64_t new_rows = std::min(most - rows, options.max_tokens - 1);
    return KvCache::pages_for(rows + std::max(new_rows, int64_t{0}));
}

}  // namespace

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

int64_t DecodeBatch::pages_for(const VilaModel& model, const std::vector<Sequence>& prompts,
                               const DecodeOptions& options) {
    int64_t pages = 0;
    std::unordered_set<uint64_t> beginnings;  // of prompts, each up to the end of a page
    for (const Sequence& prompt : prompts) {
        const std::vector<RowKey> keys = row_keys(prompt);
        pages += pages_for_rows(model, static_cast<int64_t>(keys.size()), options);
        uint64_t beginning = 0;
        for (size_t row = 0; row < keys.size() && keys[row] != 0; ++row) {
            beginning = random_bits(beginning, keys[row]);
            const bool ends_page = (row + 1) % static_cast<size_t>(kPageRows) == 0;
            if (ends_page && !beginnings.insert(beginning).second) --pages;
        }
    }
    return pages;
}

int64_t DecodeBatch::add(const Sequence& prompt, const DecodeOptions& options, OnToken on_token) {
    return add(prompt, options, std::move(on_token), false);
}

int64_t DecodeBatch::add_scored(const Sequence& sequence) {
    return add(sequence, {.max_tokens = 1}, {}, true);
}

int64_t DecodeBatch::add(const Sequence& prompt, const DecodeOptions& options, OnToken on_token,
                         bool scored) {
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
               scored ? 0 : options.max_tokens, " new tokens take ", pages, " pages of ", kPageRows,
               " positions: the key-value cache has ", cache_.pages(), " pages");
    if (!options_.share_prefixes) state->keys.clear();
    state->options = options;
    state->scored = scored;
    if (scored) state->set_targets(prompt, model_.config().llm.vocab_size);
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

// Gives pages to waiting sequences, in the order in which they were added. If another sequence is
// still reading the same beginning of a prompt, the sequence waits to share its pages; later
// sequences may overtake it.
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

// Returns the end of the chunk that contains `row` of the prompt.
int64_t DecodeBatch::chunk_end(const State& state, int64_t row) const {
    return std::min((row / options_.prefill_chunk + 1) * options_.prefill_chunk, state.rows);
}

// Removes pages from the end of `pages`, those that hold the beginning of the prompt, until the
// sequence may use the rest. The rows from first_needed_row() on must be computed, for their
// logits. Attention may sum up to kDecodeQueries new rows in another order than more rows. So if a
// chunk has more rows than that, either all of them or more than kDecodeQueries must be computed.
std::vector<int32_t> DecodeBatch::usable_prefix(const State& state,
                                                std::vector<int32_t> pages) const {
    for (; !pages.empty(); pages.pop_back()) {
        const int64_t row = static_cast<int64_t>(pages.size()) * kPageRows;
        if (row > state.first_needed_row()) continue;
        const int64_t begin = row / options_.prefill_chunk * options_.prefill_chunk;
        const int64_t end = chunk_end(state, row);
        if (end - row > kDecodeQueries || end - begin <= kDecodeQueries || row == begin) break;
    }
    return pages;
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

void DecodeBatch::end(State& state, Ending ending, std::exception_ptr error) {
    if (state.phase == State::Phase::Ended) return;
    state.phase = State::Phase::Ended;
    state.graph.reset();
    state.embeddings = {};
    pool_.release(state.cached.pages);
    state.cached = {};
    state.answer.id = state.id;
    state.answer.tokens = std::move(state.tokens);
    state.answer.ending = ending;
    state.answer.error = std::move(error);
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
