#pragma once

// A chat template as published with a model: Jinja source in chat_template.jinja,
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
    // `where` names the source in errors. `special_tokens` are the variables bos_token, eos_token,
    // ... Throws if the source is not Jinja, or if it prints no message of a user.
    JinjaChat(std::string_view source, const std::string& where, Json special_tokens);

    // Returns the template among the files of a tokenizer, or null if they have none:
    // chat_template.jinja if there is one, else chat_template.json, else the entry of
    // tokenizer_config.json. Of several named templates it is the one called "default".
    static std::shared_ptr<const JinjaChat> from_files(const TokenizerFiles& files,
                                                       const std::string& where);

    const std::string& where() const { return where_; }
    // Renders a conversation, up to the place of the answer with `generation_prompt`. Without it,
    // the answers are targets. Throws what the template raises for the conversation, and in
    // training if the template changes earlier turns when later ones follow.
    std::vector<Segment> render(std::span<const Message> messages, bool generation_prompt) const;
    // Returns the text that the template prints after an answer.
    std::string end_of_answer() const;

  private:
    // Returns the text for messages; their content is a list of parts if the template reads lists.
    std::string text_of(std::span<const Message> messages, bool generation_prompt) const;

    std::string where_;
    jinja::Template template_;
    Json special_tokens_;
    bool takes_parts_ =
        false;  // content is a list of {"type": "image"} and {"type": "text", "text": ...}
};

}  // namespace vila::data
