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

    // Returns the template among the files of a tokenizer, or null if they have none:
    // chat_template.jinja if there is one, else chat_template.json, else the entry of
    // tokenizer_config.json. Takes the one named "default" if there are several.
    static std::shared_ptr<const JinjaChat> from_files(const TokenizerFiles& files,
                                                       const std::string& where);

    // Makes a template from `source` with the special tokens that the files of a tokenizer name;
    // `where` names the source, `tokenizer` the directory of the files.
    static std::shared_ptr<const JinjaChat> from_source(std::string_view source,
                                                        const std::string& where,
                                                        const TokenizerFiles& files,
                                                        const std::string& tokenizer);

    const std::string& where() const { return where_; }
    // Renders a conversation. With `generation_prompt` the text ends where the answer begins;
    // without it, the answers are targets. Throws Error if the template refuses the conversation,
    // if it does not print every image, or, for targets, if it changes earlier turns when later
    // ones follow.
    std::vector<Segment> render(std::span<const Message> messages, bool generation_prompt) const;
    // Returns the text that the template prints after an answer.
    std::string end_of_answer() const;

  private:
    // Returns the rendered text.
    std::string text_of(std::span<const Message> messages, bool generation_prompt) const;

    std::string where_;
    jinja::Template template_;
    Json special_tokens_;
    // True if the template reads the content of a message as a list of {"type": "image"} and
    // {"type": "text", "text": ...}, false if it reads text.
    bool takes_parts_ = false;
};

}  // namespace vila::data
