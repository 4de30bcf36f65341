#include "data/records/conversation.h"

#include <algorithm>
#include <string_view>

#include "data/records/json_record.h"
#include "data/text/unicode.h"
#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

// LLaVA's files call the user "human" and the assistant "gpt".
Role role_of_turn(const std::string& name) {
    if (name == "human") return Role::User;
    if (name == "gpt" || name == "chatgpt") return Role::Assistant;
    const std::optional<Role> role = role_named(name);
    VILA_CHECK(role.has_value(), "a turn is by \"", name,
               "\": expected human, gpt, user, assistant or system");
    return *role;
}

// Returns `text` without white space at either end, as Python's str.strip() does.
std::string_view stripped(std::string_view text) {
    // Separators of files, groups, records and units are white space to Python alone.
    const auto is_space = [](uint32_t code) {
        return (code >= 0x1c && code <= 0x1f) || char_class(code) == CharClass::Space;
    };
    size_t begin = text.size(), end = 0;  // of what is not white space
    for (size_t i = 0; i < text.size();) {
        const Utf8Char next = first_char(text.substr(i));
        const size_t after = i + static_cast<size_t>(next.bytes);
        if (!is_space(next.code)) {
            begin = std::min(begin, i);
            end = after;
        }
        i = after;
    }
    return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

// "a <image>\n b" -> "a <image>\nb"; see place_images().
std::string tidy_placeholders(std::string_view text) {
    std::string tidy;
    while (true) {
        const size_t at = text.find(kImagePlaceholder);
        tidy += stripped(text.substr(0, at));
        if (at == std::string_view::npos) return std::string(stripped(tidy));
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

std::vector<Message> read_turns(const Json& turns) {
    VILA_CHECK(turns.is_array(), "the conversation: expected an array, got ", shown(turns));
    std::vector<Message> messages;
    bool has_question = false;
    for (const Json& turn : turns) {
        const Role role = role_of_turn(text_field(turn, {"from", "role"}));
        has_question |= role == Role::User;
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
    if (std::none_of(messages.begin(), messages.end(), has_placeholder))
        prepend_placeholders(images, messages);
    for (Message& message : messages)
        if (has_placeholder(message)) message.text = tidy_placeholders(message.text);
}

}  // namespace vila::data
