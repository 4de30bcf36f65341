#pragma once

// Messages: the turns of a conversation, with placeholders for images in their text.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vila::data {

enum class Role { System, User, Assistant };
// Returns the role called "system", "user" or "assistant"; none for another name.
std::optional<Role> role_named(std::string_view name);

struct Message {
    Role role = Role::User;
    std::string text;  // kImagePlaceholder stands for an image
};

// Puts `images` placeholders in front of the first user message, as VILA does if the text has none.
// Returns false if there is no user message.
bool prepend_placeholders(int64_t images, std::span<Message> messages);

}  // namespace vila::data
