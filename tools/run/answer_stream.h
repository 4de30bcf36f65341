#pragma once

// An answer as it comes, token by token: whole characters, held back as long as they may be the
// beginning of a stop string.

#include <functional>
#include <string>
#include <vector>

#include "data/text/tokenizer.h"

namespace vila::tools {

class AnswerStream {
  public:
    // `emit` is told of every piece of text that is certain to belong to the answer. An answer ends
    // before the first of `stops` in it; empty ones are refused.
    AnswerStream(const data::Tokenizer& tokenizer, std::vector<std::string> stops,
                 std::function<void(const std::string& piece)> emit);

    // One more token; false once a stop string has come. Ids behind the vocabulary, of which models
    // have some to make their number round, are no text.
    bool push(int32_t id);
    // No more tokens: what was held back belongs to the answer.
    void finish();
    // Everything emitted so far.
    const std::string& text() const { return text_; }

  private:
    // Emits what cannot be part of a stop string; with `at_end` everything before one.
    bool release(bool at_end);

    int64_t vocab_size_;
    data::StreamingDecoder decoder_;
    std::vector<std::string> stops_;
    std::function<void(const std::string& piece)> emit_;
    std::string held_, text_;
    bool stopped_ = false;
};

}  // namespace vila::tools
