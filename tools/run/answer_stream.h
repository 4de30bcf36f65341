#pragma once

// AnswerStream: turns the tokens of an answer into text as they are generated, in whole characters.
// Text that may be the beginning of a stop string is held back until later tokens decide.

#include <functional>
#include <string>
#include <vector>

#include "data/text/tokenizer.h"

namespace vila::tools {

// Returns the part of a whole answer before the first of the stop strings.
std::string before_stops(const std::string& text, const std::vector<std::string>& stops);

class AnswerStream {
  public:
    // Calls `emit` with each piece of text as soon as it certainly belongs to the answer. The
    // answer ends before the first stop string. Throws UsageError if a stop string is empty.
    AnswerStream(const data::Tokenizer& tokenizer, std::vector<std::string> stops,
                 std::function<void(const std::string& piece)> emit);

    // Adds a token. Returns false once the text contains a stop string. Padding ids beyond the
    // tokenizer's vocabulary decode to nothing.
    bool push(int32_t id);
    // Ends the answer and emits the text that was held back.
    void finish();
    // All text emitted so far.
    const std::string& text() const { return text_; }

  private:
    // Emits the text that cannot be part of a stop string; with `at_end`, all text before the first
    // one. Returns false once there has been a stop string.
    bool release(bool at_end);

    int64_t vocab_size_;
    data::StreamingDecoder decoder_;
    std::vector<std::string> stops_;
    std::function<void(const std::string& piece)> emit_;
    std::string held_, text_;
    bool stopped_ = false;
};

}  // namespace vila::tools
