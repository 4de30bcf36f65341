#pragma once

// The state that DecodeBatch keeps for each sequence. decode_batch.cpp decides which sequences run
// in a step, decode_batch_forward.cpp computes their next tokens, and decode_batch_score.cpp the
// log probabilities of targets.

#include <algorithm>

#include "models/decode_batch.h"
#include "models/decode_graph.h"

namespace vila::models {

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

    bool scored = false;             // added by add_scored()
    std::vector<int64_t> loss_rows;  // of a scored sequence: rows that predict a target, ascending
    std::vector<int32_t> targets;    // the target of each of them

    void set_targets(const Sequence& sequence, int64_t vocab_size);
    // The first row whose hidden state is needed.
    int64_t first_needed_row() const {
        return loss_rows.empty() ? rows - 1 : std::min(loss_rows.front(), rows - 1);
    }

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

}  // namespace vila::models
