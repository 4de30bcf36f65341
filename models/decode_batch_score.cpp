// Computes the log probabilities of the targets of scored sequences in a step of DecodeBatch.

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "models/decode_state.h"

namespace vila::models {

namespace {

// Logits (M, V) are computed for at most this many rows at a time, to limit their memory.
constexpr size_t kRowsAtATime = 64;
constexpr int32_t kNoTarget = -1;

}  // namespace

void DecodeBatch::State::set_targets(const Sequence& sequence, int64_t vocab_size) {
    if (sequence.labels.empty()) return;
    VILA_CHECK_EQ(sequence.labels.size(), sequence.ids.size(), "[decode] labels of a sequence");
    int64_t row = 0;  // of token i
    size_t image = 0;
    for (size_t i = 0; i < sequence.ids.size(); ++i) {
        if (sequence.labels[i] != kIgnoreLabel) {
            VILA_CHECK(row > 0, "[decode] the first token of a sequence is a target");
            VILA_CHECK(sequence.labels[i] >= 0 && sequence.labels[i] < vocab_size,
                       "[decode] label ", sequence.labels[i], ": expected an id below ",
                       vocab_size);
            loss_rows.push_back(row - 1);
            targets.push_back(sequence.labels[i]);
        }
        row += sequence.ids[i] == kImageToken ? sequence.images[image++].tokens : 1;
    }
}

// Adds the log probabilities of targets that the rows of a step predict, and the logits of last
// rows, to the answers of scored sequences. `hidden` (R, C) is the last hidden state of the rows of
// the step. Call it before advance().
void DecodeBatch::score_rows(const Rows& rows, const Tensor& hidden) {
    struct Predicting {
        State* state;
        int32_t row;     // of the step
        int32_t target;  // kNoTarget for the last row of a sequence
    };
    std::vector<Predicting> predicting;
    auto first = static_cast<int32_t>(rows.decoding.size());  // the row of the step at `begin`
    for (size_t i = 0; i < rows.reading.size(); ++i) {
        State& state = *rows.reading[i];
        const int64_t begin = state.cached.length, end = begin + rows.counts[i];
        const auto row_of_step = [&](int64_t row) {
            return first + static_cast<int32_t>(row - begin);
        };
        for (size_t m = 0; m < state.loss_rows.size(); ++m)
            if (begin <= state.loss_rows[m] && state.loss_rows[m] < end)
                predicting.push_back({&state, row_of_step(state.loss_rows[m]), state.targets[m]});
        if (state.scored && end == state.rows)
            predicting.push_back({&state, row_of_step(end - 1), kNoTarget});
        first += static_cast<int32_t>(rows.counts[i]);
    }
    for (size_t begin = 0; begin < predicting.size(); begin += kRowsAtATime) {
        const auto group =
            std::span(predicting).subspan(begin, std::min(kRowsAtATime, predicting.size() - begin));
        std::vector<int32_t> index;
        for (const Predicting& item : group) index.push_back(item.row);
        const auto M = static_cast<int64_t>(group.size());
        const Tensor gathered =
            autograd::gather_rows(autograd::Variable(hidden),
                                  Tensor::from_values(model_.device(), {M}, index))
                .value();                                                                 // (M, C)
        const Tensor logits = model_.llm().logits(autograd::Variable(gathered)).value();  // (M, V)
        for (int64_t m = 0; m < M; ++m) {
            const auto& [state, row, target] = group[static_cast<size_t>(m)];
            std::vector<float> values = logits.slice(0, m, m + 1).to_vector<float>();  // (V)
            const double total = log_sum_exp(values);
            VILA_CHECK(std::isfinite(total), kNotFinite);
            if (target == kNoTarget)
                state->answer.next_logits = std::move(values);
            else
                state->answer.target_logprobs.push_back(values[static_cast<size_t>(target)] -
                                                        total);
        }
    }
}

}  // namespace vila::models
