// The scanners try a pattern's alternatives in order; the first that matches wins. \s+(?!\S)
// matches white space, without its last character if something else follows.

#include "data/text/pretokenizer.h"

#include <string>

#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

struct Char {
    CharClass kind = CharClass::Other;
    uint32_t code = kInvalidCode;
    int64_t end = 0;  // offset after it
    bool exists = false;

    bool is(CharClass wanted) const { return exists && kind == wanted; }
    bool is_line_end() const { return exists && (code == '\r' || code == '\n'); }
};

Char char_at(std::string_view text, int64_t offset) {
    if (offset >= static_cast<int64_t>(text.size())) return {};
    const Utf8Char next = first_char(text.substr(offset));
    return {char_class(next.code), next.code, offset + next.bytes, true};
}

// Returns the end of the longest run of one class that begins at `offset`, at most `at_most`
// characters long.
int64_t run_end(std::string_view text, int64_t offset, CharClass kind,
                int64_t at_most = INT64_MAX) {
    for (; at_most > 0; --at_most) {
        const Char next = char_at(text, offset);
        if (!next.is(kind)) break;
        offset = next.end;
    }
    return offset;
}

// Returns the length of 's 't 're 've 'm 'll 'd at the beginning of `text`, else 0. With any_case,
// U+017F (long s) counts as s.
int64_t contraction(std::string_view text, bool any_case) {
    if (text[0] != '\'') return 0;
    const auto letter_at = [&](int64_t offset, int64_t& end) -> char {
        const Char next = char_at(text, offset);
        end = next.end;
        if (!next.exists) return 0;
        if (any_case && next.code == 0x17F) return 's';
        if (any_case && next.code - 'A' < 26) return static_cast<char>(next.code + 32);
        return next.code < 0x80 ? static_cast<char>(next.code) : '\0';
    };
    int64_t first_end = 0, second_end = 0;
    const char first = letter_at(1, first_end);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return first_end;
    if (first != 'r' && first != 'v' && first != 'l') return 0;
    const char second = letter_at(first_end, second_end);
    return second == (first == 'l' ? 'l' : 'e') ? second_end : 0;
}

// Matches \s+(?!\S)|\s+ at the beginning of `text`.
int64_t space_word(std::string_view text) {
    int64_t last = 0, end = 0;
    for (Char next = char_at(text, 0); next.is(CharClass::Space); next = char_at(text, end)) {
        last = end;
        end = next.end;
    }
    const bool something_follows = end < static_cast<int64_t>(text.size());
    return something_follows && last > 0 ? last : end;
}

// Matches \s*[\r\n]+ at the beginning of `text`: white space up to the last line end of its run.
// Else returns 0.
int64_t line_end_word(std::string_view text) {
    int64_t offset = 0, through = 0;
    for (Char next = char_at(text, 0); next.is(CharClass::Space); next = char_at(text, offset)) {
        offset = next.end;
        if (next.is_line_end()) through = offset;
    }
    return through;
}

int64_t gpt2_word(std::string_view text) {
    if (const int64_t length = contraction(text, false)) return length;
    const int64_t start = text[0] == ' ' ? 1 : 0;
    const Char head = char_at(text, start);
    if (head.exists && head.kind != CharClass::Space) return run_end(text, start, head.kind);
    return space_word(text);
}

int64_t llama3_word(std::string_view text, int64_t digits) {
    if (const int64_t length = contraction(text, true)) return length;
    const Char first = char_at(text, 0);
    if (first.is(CharClass::Letter)) return run_end(text, first.end, CharClass::Letter);
    if (first.is(CharClass::Number)) return run_end(text, 0, CharClass::Number, digits);
    const Char second = char_at(text, first.end);
    if (!first.is_line_end() && second.is(CharClass::Letter))
        return run_end(text, second.end, CharClass::Letter);
    const int64_t start = text[0] == ' ' && second.is(CharClass::Other) ? 1 : 0;
    if (char_at(text, start).is(CharClass::Other)) {
        int64_t end = run_end(text, start, CharClass::Other);
        while (char_at(text, end).is_line_end()) ++end;
        return end;
    }
    if (const int64_t length = line_end_word(text)) return length;
    return space_word(text);
}

// Returns the length of the digits at the beginning of `text`, or of what precedes the first digit.
int64_t digit_word(std::string_view text, int64_t at_most) {
    if (const int64_t digits = run_end(text, 0, CharClass::Number, at_most)) return digits;
    int64_t end = 0;
    for (Char next = char_at(text, 0); next.exists && next.kind != CharClass::Number;
         next = char_at(text, end))
        end = next.end;
    return end;
}

}  // namespace

std::string_view split_pattern(SplitRule rule) {
    switch (rule) {
        case SplitRule::Gpt2:
            return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
        case SplitRule::Llama3:
            return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
                   R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
        case SplitRule::Qwen2:
            return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                   R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
        case SplitRule::Digits:
        case SplitRule::EachDigit:
            break;
    }
    throw Error("no regular expression for this split rule");
}

int64_t next_word(SplitRule rule, std::string_view text) {
    switch (rule) {
        case SplitRule::Gpt2:
            return gpt2_word(text);
        case SplitRule::Llama3:
            return llama3_word(text, 3);
        case SplitRule::Qwen2:
            return llama3_word(text, 1);
        case SplitRule::Digits:
            return digit_word(text, INT64_MAX);
        case SplitRule::EachDigit:
            return digit_word(text, 1);
    }
    throw Error("unknown split rule");
}

}  // namespace vila::data
