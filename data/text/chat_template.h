#pragma once

// Chat templates turn the messages of a conversation into segments, each marked as target or not.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/jinja_chat.h"
#include "data/text/message.h"
#include "data/text/named_template.h"
#include "data/text/segments.h"
#include "data/text/tokenizer.h"

namespace vila::data {

class ChatTemplate {
  public:
    // Throws an error that lists the names if there is no such template.
    static ChatTemplate named(std::string_view name);
    static std::vector<std::string> names();
    // Makes the chat template from one that was published with a model.
    explicit ChatTemplate(std::shared_ptr<const JinjaChat> published)
        : published_(std::move(published)) {}

    // Returns the name of the template; for a published one, the file that holds it.
    std::string name() const;
    bool is_published() const { return published_ != nullptr; }
    // Returns whether the template passes the text on as it is ("none").
    bool is_none() const;
    // Returns whether the template keeps only images and answers, as the alignment stage does
    // ("plain").
    bool is_plain() const;
    // Renders a conversation: an optional system message, then user and assistant in alternation.
    // The answers and the tokens that end them are targets. With `generation_prompt` the last
    // message is the user's and the text ends where the assistant's answer begins.
    std::vector<Segment> render(std::span<const Message> messages,
                                bool generation_prompt = false) const;
    // Returns the ids that end an answer under this template, without tokens that the vocabulary
    // lacks.
    std::vector<int32_t> stop_ids(const Tokenizer& tokenizer) const;
    // Returns the texts that end an answer where a published template ends it without a token. An
    // answer ends before them.
    std::vector<std::string> stop_texts(const Tokenizer& tokenizer) const;
    // Returns the Jinja source of a published template, else "".
    std::string source() const { return published_ ? published_->source() : ""; }

  private:
    explicit ChatTemplate(const NamedTemplate& named) : named_(&named) {}

    // One of them is set.
    const NamedTemplate* named_ = nullptr;
    std::shared_ptr<const JinjaChat> published_;
};

}  // namespace vila::data
