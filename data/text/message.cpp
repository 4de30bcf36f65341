#include "data/text/message.h"

#include <algorithm>

#include "data/text/segments.h"

namespace vila::data {

std::optional<Role> role_named(std::string_view name) {
    if (name == "system") return Role::System;
    if (name == "user") return Role::User;
    if (name == "assistant") return Role::Assistant;
    return std::nullopt;
}

bool prepend_placeholders(int64_t images, std::span<Message> messages) {
    const auto first_user =
        std::find_if(messages.begin(), messages.end(),
                     [](const Message& message) { return message.role == Role::User; });
    if (first_user == messages.end()) return false;
    first_user->text = prepend_placeholders(images, first_user->text);
    return true;
}

}  // namespace vila::data
