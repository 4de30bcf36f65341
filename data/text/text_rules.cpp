#include "data/text/text_rules.h"

#include "data/text/unicode.h"

namespace vila::data {

namespace {

constexpr std::string_view kSpaceMark = "\u2581";
constexpr std::string_view kReplacement = "\uFFFD";

struct Step {
    std::string_view text;
    size_t consumed = 0;
};

// Returns the replacement of the beginning of `text`.
Step next_step(const TextRules& rules, std::string_view text) {
    if (const auto kept = rules.keeps.longest(text); kept.value >= 0)
        return {text.substr(0, kept.bytes), kept.bytes};
    if (const auto match = rules.charsmap.longest(text); match.bytes > 0)
        return {match.replacement, static_cast<size_t>(match.bytes)};
    const Utf8Char next = first_char(text);
    if (next.code == kInvalidCode) return {kReplacement, 1};
    return {text.substr(0, next.bytes), static_cast<size_t>(next.bytes)};
}

// SentencePiece's normalizer, step by step. Inside, spaces and U+2581 are distinct; in the result
// both are spaces.
std::string normalized(const TextRules& rules, std::string_view text, bool with_prefix) {
    if (rules.removes_spaces) {
        while (!text.empty()) {
            const Step step = next_step(rules, text);
            if (step.text != " ") break;
            text.remove_prefix(step.consumed);
        }
    }
    std::string plain;
    if (text.empty()) return plain;
    plain.reserve(text.size() + 1);
    if (with_prefix) plain += ' ';
    bool after_space = rules.removes_spaces;
    while (!text.empty()) {
        const Step step = next_step(rules, text);
        std::string_view added = step.text;
        while (after_space && added.starts_with(' ')) added.remove_prefix(1);
        if (!added.empty()) {
            plain += plain_text(added);
            after_space = rules.removes_spaces && added.ends_with(' ');
        }
        text.remove_prefix(step.consumed);
    }
    if (rules.removes_spaces)
        while (plain.ends_with(' ')) plain.pop_back();
    return plain;
}

bool is_valid(std::string_view text) {
    while (!text.empty()) {
        if (static_cast<uint8_t>(text[0]) < 0x80) {
            text.remove_prefix(1);
            continue;
        }
        const Utf8Char next = first_char(text);
        if (next.code == kInvalidCode) return false;
        text.remove_prefix(next.bytes);
    }
    return true;
}

}  // namespace

std::string TextRules::searched(std::string_view text) const {
    const std::string composed = composes ? nfc(text) : std::string(text);
    return plain_added_tokens ? plain_text(composed) : composed;
}

bool TextRules::prefixes(TextPlace place) const {
    if (place == TextPlace::Continues) return false;
    return prefix == Prefix::Always || (prefix == Prefix::First && place == TextPlace::Start);
}

std::string TextRules::prepare(std::string_view text, bool with_prefix) const {
    if (text.empty()) return "";
    if (removes_spaces || !charsmap.empty() || (replaces_broken && !is_valid(text)))
        return normalized(*this, text, with_prefix);
    std::string plain;
    if (composes)
        plain = plain_text(nfc(text));
    else
        plain = plain_text(text);
    if (with_prefix && !(prefix_unless_space && plain.starts_with(' '))) plain.insert(0, 1, ' ');
    return plain;
}

std::string plain_text(std::string_view text) {
    std::string plain;
    plain.reserve(text.size() + 1);
    while (true) {
        const size_t at = text.find(kSpaceMark);
        plain.append(text.substr(0, at));
        if (at == std::string_view::npos) return plain;
        plain += ' ';
        text.remove_prefix(at + kSpaceMark.size());
    }
}

}  // namespace vila::data
