#include "data/records/conversation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "data/records/json_record.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

Role role_named(const std::string& name) {
    if (name == "human" || name == "user") return Role::User;
    if (name == "gpt" || name == "assistant" || name == "chatgpt") return Role::Assistant;
    VILA_CHECK(name == "system", "a turn is by \"", name,
               "\": expected human, gpt, user, assistant or system");
    return Role::System;
}

std::string_view stripped(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n\v\f";
    const size_t begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return "";
    return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

// "a <image>\n b" -> "a <image>\nb"; see place_images().
std::string tidy_placeholders(std::string_view text) {
    std::string tidy;
    while (true) {
        const size_t at = text.find(kImagePlaceholder);
        tidy += stripped(text.substr(0, at));
        if (at == std::string_view::npos) return tidy;
        if (!tidy.empty() && tidy.back() != '\n') tidy += ' ';
        tidy += kImagePlaceholder;
        tidy += '\n';
        text.remove_prefix(at + kImagePlaceholder.size());
    }
}

bool has_placeholder(const Message& message) {
    return message.text.find(kImagePlaceholder) != std::string::npos;
}

}  // namespace

std::string without_placeholders(std::string text) {
    for (size_t at = text.find(kImagePlaceholder); at != std::string::npos;
         at = text.find(kImagePlaceholder, at))
        text.replace(at, kImagePlaceholder.size(), "<IMAGE>");
    return text;
}

std::vector<Message> read_turns(const nlohmann::json& turns) {
    VILA_CHECK(turns.is_array(), "the conversation is ", turns.type_name(), ": expected an array");
    std::vector<Message> messages;
    for (const nlohmann::json& turn : turns) {
        const Role role = role_named(text_field(turn, {"from", "role"}));
        const bool has_question = !messages.empty() && messages.back().role != Role::System;
        if (role == Role::Assistant && !has_question) continue;
        messages.push_back({role, text_field(turn, {"value", "content"})});
    }
    if (messages.size() > 1 && messages.back().role == Role::User) messages.pop_back();
    return messages;
}

void place_images(std::vector<Message>& messages, int64_t images) {
    if (images == 0) {
        for (Message& message : messages) message.text = without_placeholders(message.text);
        return;
    }
    if (std::any_of(messages.begin(), messages.end(), has_placeholder)) {
        for (Message& message : messages)
            if (has_placeholder(message)) message.text = tidy_placeholders(message.text);
        return;
    }
    const auto first = std::find_if(messages.begin(), messages.end(), [](const Message& message) {
        return message.role == Role::User;
    });
    if (first == messages.end()) return;
    std::string tags;
    for (int64_t i = 0; i < images; ++i) tags += str(kImagePlaceholder, "\n");
    first->text = tags + first->text;
}

}  // namespace vila::data
