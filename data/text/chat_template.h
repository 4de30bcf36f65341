#pragma once

// Chat templates: from the turns of a conversation to segments that know whether they are targets.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/segments.h"
#include "data/text/tokenizer.h"

namespace vila::data {

enum class Role { System, User, Assistant };
// The role called "system", "user" or "assistant"; none for another name.
std::optional<Role> role_named(std::string_view name);

struct Message {
    Role role = Role::User;
    std::string text;  // kImagePlaceholder stands for an image
};

// Puts `images` placeholders in front of the first user message, where chat models expect images
// that the text does not place. Returns false if there is no user message.
bool prepend_placeholders(int64_t images, std::span<Message> messages);

class ChatTemplate {
  public:
    // Throws an error that lists the names when there is no such template.
    static ChatTemplate named(std::string_view name);
    static std::vector<std::string> names();

    std::string name() const;
    // Whether only images and answers are kept, as in the alignment stage ("plain").
    bool is_plain() const;
    // Turns must go system (optional), then user and assistant in alternation; the answers and what
    // ends them are targets. With `generation_prompt` the last message is the user's and the text
    // ends where the assistant's answer begins.
    std::vector<Segment> render(std::span<const Message> messages,
                                bool generation_prompt = false) const;
    // Ids that end an answer under this template; a vocabulary that lacks them gives fewer.
    std::vector<int32_t> stop_ids(const Tokenizer& tokenizer) const;

    struct Definition;  // one row of the table in chat_template.cpp

  private:
    explicit ChatTemplate(const Definition& definition) : definition_(&definition) {}
    const Definition* definition_;
};

}  // namespace vila::data
