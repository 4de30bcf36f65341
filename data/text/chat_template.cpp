#include "data/text/chat_template.h"

#include <algorithm>

#include "data/text/trim.h"
#include "tensor/check.h"
#include "tensor/name_list.h"

namespace vila::data {

namespace {

// Returns the ids of the special tokens in a text.
std::vector<int32_t> special_ids(const std::string& text, const Tokenizer& tokenizer) {
    std::vector<int32_t> ids =
        tokenizer.encode(text, {.parse_added_tokens = true, .place = TextPlace::Continues});
    std::erase_if(ids, [&](int32_t id) { return !tokenizer.is_special(id); });
    return ids;
}

}  // namespace

ChatTemplate ChatTemplate::named(std::string_view name) {
    for (const NamedTemplate& known : named_templates())
        if (known.name == name) return ChatTemplate(known);
    throw Error(str("unknown chat template \"", name, "\": expected ", name_list(names())));
}

std::vector<std::string> ChatTemplate::names() {
    std::vector<std::string> names;
    for (const NamedTemplate& known : named_templates()) names.emplace_back(known.name);
    return names;
}

std::string ChatTemplate::name() const {
    return published_ ? published_->where() : std::string(named_->name);
}

bool ChatTemplate::is_plain() const {
    return !published_ && named_->name == "plain";
}

bool ChatTemplate::is_none() const {
    return !published_ && named_->name == "none";
}

std::vector<Segment> ChatTemplate::render(std::span<const Message> messages,
                                          bool generation_prompt) const {
    if (published_) return published_->render(messages, generation_prompt);
    return data::render(*named_, messages, generation_prompt);
}

std::vector<int32_t> ChatTemplate::stop_ids(const Tokenizer& tokenizer) const {
    std::vector<int32_t> ids;
    if (tokenizer.eos_id()) ids.push_back(*tokenizer.eos_id());
    const auto add = [&](std::optional<int32_t> id) {
        if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
    };
    if (published_) {
        const auto after = special_ids(published_->end_of_answer(), tokenizer);
        for (const int32_t id : after) add(id);
        // If no token ends an answer, the first token between an answer and the next question does.
        // The later tokens there do not.
        const auto between = special_ids(published_->between_turns(), tokenizer);
        if (after.empty() && !between.empty()) add(between[0]);
        return ids;
    }
    for (const std::string_view stop : named_->stop)
        if (!stop.empty()) add(tokenizer.token_to_id(stop));
    return ids;
}

std::vector<std::string> ChatTemplate::stop_texts(const Tokenizer& tokenizer) const {
    constexpr std::string_view kBlanks = " \t\r\n";
    if (!published_) return {};
    const std::string after = published_->end_of_answer();
    if (!special_ids(after, tokenizer).empty()) return {};
    if (const auto text = trimmed(after, kBlanks); !text.empty()) return {std::string(text)};
    const std::string between = published_->between_turns();
    // Blanks alone cannot end an answer, because many answers contain them. Blanks in front of a
    // name are part of the stop text, as in "\n\nHuman:".
    if (!special_ids(between, tokenizer).empty() || trimmed(between, kBlanks).empty()) return {};
    return {between.substr(0, between.find_last_not_of(kBlanks) + 1)};
}

}  // namespace vila::data
