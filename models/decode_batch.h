#pragma once

// DecodeBatch: continues or scores many sequences together. Each step is one forward pass: it reads
// the newest token of every sequence that is being decoded, and chunks of prompts. Sequences may be
// added at any time. Each has its own options and ends on its own.
//
// On a CPU a sequence gets the same tokens in any batch: the bits of a row do not depend on the
// other rows, and a prompt is always cut into the same chunks. On a GPU with cuBLASLt the bits may
// depend on the number of rows (cuda/README.md).

#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "models/page_pool.h"
#include "models/sampler.h"
#include "models/vila.h"

namespace vila::models {

// The options of one sequence.
struct DecodeOptions {
    int64_t max_tokens = 128;            // the largest number of new tokens
    std::vector<int32_t> stop_ids = {};  // each ends the sequence and is not part of the result
    SamplerOptions sampling = {};
};

struct DecodeBatchOptions {
    int64_t pages = 0;  // size of the KV cache (kv_cache.h); see DecodeBatch::pages_for()
    // A prompt is read in chunks of this many rows.
    int64_t prefill_chunk = 512;
    // The most prompt rows in a step, which limits the memory for activations and the time for
    // which prompts delay sequences that are being decoded. One chunk is read even if it is larger.
    int64_t prefill_rows = 512;
    // The most sequences that are read or decoded at a time; the others wait. 0: no limit.
    int64_t max_sequences = 0;
    // Prompts with an equal beginning share its pages. Text is compared by its ids, images by
    // HostImage::key.
    bool share_prefixes = true;
};

enum class Ending {
    StopId,  // the model chose a stop id
    Length,  // max_tokens, or the model has no position left
    Caller,  // on_token returned false
    Scored,  // a sequence of add_scored() has been read
    Error,   // see Answer::error
};

struct Answer {
    int64_t id = 0;
    std::vector<int32_t> tokens;
    Ending ending = Ending::Length;
    // Filled in for scored sequences only.
    std::vector<double> target_logprobs;  // ln p of each target, in order
    std::vector<float> next_logits;       // (V), of the last row
    // The exception that embedding the prompt, sampling or on_token threw; null without an error.
    std::exception_ptr error;
};

struct DecodeBatchStats {
    PagePoolStats pages;
    int64_t waiting = 0;   // sequences that have no pages yet
    int64_t reading = 0;   // sequences whose prompts are being read
    int64_t decoding = 0;  // sequences that get a token in every step
};

class DecodeBatch {
  public:
    // Called with every new token of a sequence, during step(). Returns false to end the sequence.
    // It may call add() and cancel(), but not step().
    using OnToken = std::function<bool(int64_t id, int32_t token)>;

    // The model must outlive this object.
    DecodeBatch(const VilaModel& model, const DecodeBatchOptions& options);
    ~DecodeBatch();
    DecodeBatch(const DecodeBatch&) = delete;
    DecodeBatch& operator=(const DecodeBatch&) = delete;

    // Returns the number of pages that a prompt and its answer take if it shares none.
    static int64_t pages_for(const VilaModel& model, const Sequence& prompt,
                             const DecodeOptions& options);
    // Returns the number of pages that prompts and their answers take together. Pages of a
    // beginning that prompts share count once.
    static int64_t pages_for(const VilaModel& model, const std::vector<Sequence>& prompts,
                             const DecodeOptions& options);

    // Adds a sequence and returns its id. Copies the prompt; its labels are ignored. The sequence
    // waits until enough pages are free. Sequences get pages in the order in which they were added,
    // but one whose beginning another sequence is reading waits to share it, and may be overtaken.
    // Throws if it needs more pages than the cache has, if the prompt is empty or longer than the
    // model's positions, if the numbers of placeholders and images differ, and if max_tokens is not
    // positive.
    int64_t add(const Sequence& prompt, const DecodeOptions& options, OnToken on_token = {});
    // Adds a sequence that is only read: its answer holds the log probabilities of its targets, and
    // no tokens. Waits for pages and throws as add() does. Also throws if the numbers of labels and
    // ids differ, or if the first token is a target.
    int64_t add_scored(const Sequence& sequence);
    // Ends a sequence without an answer: step() does not return it. Returns false if there is no
    // such sequence.
    bool cancel(int64_t id);
    // Reads chunks of prompts and chooses the next token of every sequence whose prompt has been
    // read. Returns the answers of the sequences that ended.
    std::vector<Answer> step();
    // Returns whether the batch has no sequences.
    bool idle() const { return states_.empty(); }
    DecodeBatchStats stats() const;

  private:
    struct State;
    struct Rows;

    // decode_batch.cpp
    int64_t add(const Sequence& prompt, const DecodeOptions& options, OnToken on_token,
                bool scored);
    void admit();
    int64_t chunk_end(const State& state, int64_t row) const;
    std::vector<int32_t> usable_prefix(const State& state, std::vector<int32_t> pages) const;
    Rows next_rows();
    void end(State& state, Ending ending, std::exception_ptr error = {});
    // decode_batch_forward.cpp
    void embed_prompt(State& state) const;
    Tensor embeddings(const Rows& rows) const;
    Tensor image_rows(const Rows& rows) const;
    CachedRows places(const Rows& rows) const;
    std::vector<State*> advance(const Rows& rows, std::vector<int32_t>& last_rows);
    void score_rows(const Rows& rows, const Tensor& hidden);  // decode_batch_score.cpp
    void forward(const Rows& rows);
    void forward_one(State& state);
    void add_tokens(const std::vector<State*>& states, const Tensor& logits, const Tensor& argmax);
    void add_token(State& state, const Tensor& logits, int32_t argmax);

    const VilaModel& model_;
    DecodeBatchOptions options_;
    KvCache cache_;
    PagePool pool_;
    std::list<std::unique_ptr<State>> states_;  // in the order of their ids
    int64_t next_id_ = 0;
    bool stepping_ = false;
};

}  // namespace vila::models
