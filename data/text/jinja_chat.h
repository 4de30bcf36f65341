#pragma once

// The chat template that was published with a model: Jinja source in chat_template.jinja,
// chat_template.json or tokenizer_config.json. The rendered text equals that of apply_chat_template
// in transformers.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/text/jinja/template.h"
#include "data/text/message.h"
#include "data/text/segments.h"
#include "data/text/tokenizer.h"
#include "tensor/json.h"

namespace vila::data {

class JinjaChat {
  public:
    // `where` names the source in errors. `special_tokens` holds the variables bos_token, eos_token
    // and so on. Throws Error if the source is not Jinja, or does not print the user's message.
    JinjaChat(std::string_view source, const std::string& where, Json special_tokens);

    JinjaChat(const JinjaChat&) = delete;
    JinjaChat& operator=(const JinjaChat&) = delete;

    // Returns the template among the files of a tokenizer, or null if they have none:
    // chat_template.jinja if there is one, else chat_template.json, else the entry of
    // tokenizer_config.json. Takes the one named "default" if there are several.
    static std::shared_ptr<JinjaChat> from_files(const TokenizerFiles& files,
                                                 const std::string& where);

    // Makes a template from `source` with the special tokens that the files of a tokenizer name;
    // `where` names the source, `tokenizer` the directory of the files.
    static std::shared_ptr<JinjaChat> from_source(std::string_view source, const std::string& where,
                                                  const TokenizerFiles& files,
                                                  const std::string& tokenizer);

    const std::string& where() const { return where_; }
    const std::string& source() const { return source_; }
    // Returns the text that the template prints for an image, such as
    // "<|vision_start|><|image_pad|><|vision_end|>"; empty if an image is part of the text of a
    // message.
    const std::string& image_marker() const { return image_marker_; }
    // Returns whether image_marker() has a place for the image: by default kImagePlaceholder.
    bool places_images() const;
    // Sets the token at whose place in image_marker() the model reads an image.
    void set_image_token(std::string token) { image_token_ = std::move(token); }

    // Renders a conversation. With `generation_prompt` the text ends where the answer begins;
    // without it, the answers are targets. Throws Error if the template refuses the conversation,
    // if it does not print every image, or, for targets, if it changes earlier turns when later
    // ones follow.
    std::vector<Segment> render(std::span<const Message> messages, bool generation_prompt) const;
    // Returns the text that the template prints after the last answer of a conversation; empty if
    // it refuses the conversation.
    std::string end_of_answer() const;
    // Returns the text that the template prints between an answer and the next question; empty if
    // it refuses the conversation.
    std::string between_turns() const;

  private:
    // The form of a message's content that the template reads: text, or a list of parts
    // {"type": "text", "text": ...} and {"type": "image"}.
    enum class Content { Text, Parts, PartsWithImages };

    // Returns the rendered text of messages whose contents have the form that the template reads.
    std::string rendered(const Json& messages, bool generation_prompt) const;
    // Gives the contents that form, and returns the rendered text.
    std::string text_of(std::span<const Message> messages, bool generation_prompt) const;

    std::string where_, source_;
    jinja::Template template_;
    Json special_tokens_;
    Content content_ = Content::Text;
    std::string image_marker_;
    std::string image_token_{kImagePlaceholder};
};

}  // namespace vila::data
