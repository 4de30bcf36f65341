#include "tools/run/answer_stream.h"

#include <algorithm>

#include "tensor/check.h"

namespace vila::tools {

namespace {

// Returns the number of bytes at the end of `text` that may be the beginning of `stop`.
size_t overlap(const std::string& text, const std::string& stop) {
    size_t length = std::min(text.size(), stop.size() - 1);
    while (length > 0 && text.compare(text.size() - length, length, stop, 0, length) != 0) --length;
    return length;
}

// Returns the offset of the first stop string in `text`, or npos if there is none.
size_t first_stop(const std::string& text, const std::vector<std::string>& stops) {
    size_t first = std::string::npos;
    for (const std::string& stop : stops) first = std::min(first, text.find(stop));
    return first;
}

}  // namespace

std::string before_stops(const std::string& text, const std::vector<std::string>& stops) {
    return text.substr(0, first_stop(text, stops));
}

AnswerStream::AnswerStream(const data::Tokenizer& tokenizer, std::vector<std::string> stops,
                           std::function<void(const std::string& piece)> emit)
    : vocab_size_(tokenizer.vocab_size()),
      decoder_(tokenizer),
      stops_(std::move(stops)),
      emit_(std::move(emit)) {
    for (const std::string& stop : stops_)
        if (stop.empty()) throw UsageError("--stop: expected at least one character");
}

bool AnswerStream::push(int32_t id) {
    if (id < vocab_size_) held_ += decoder_.push(id);
    return release(false);
}

void AnswerStream::finish() {
    held_ += decoder_.finish();
    release(true);
}

bool AnswerStream::release(bool at_end) {
    if (stopped_) return false;
    size_t end = first_stop(held_, stops_);
    stopped_ = end != std::string::npos;
    if (!stopped_) {
        end = held_.size();
        if (!at_end)
            for (const std::string& stop : stops_)
                end = std::min(end, held_.size() - overlap(held_, stop));
    }
    const std::string piece = held_.substr(0, end);
    held_.erase(0, end);
    text_ += piece;
    if (!piece.empty()) emit_(piece);
    return !stopped_;
}

}  // namespace vila::tools
