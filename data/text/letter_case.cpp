#include "data/text/letter_case.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "data/text/case_tables.h"
#include "data/text/unicode.h"

namespace vila::data {

namespace {

constexpr uint32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2;

// Returns the row of a sorted table that may hold `code`, or null.
template <typename Row>
const Row* find_row(std::span<const Row> rows, uint32_t code) {
    const auto above = std::upper_bound(rows.begin(), rows.end(), code,
                                        [](uint32_t c, const Row& row) { return c < row.first; });
    if (above == rows.begin()) return nullptr;
    const Row& row = *std::prev(above);
    return code <= row.last ? &row : nullptr;
}

// Appends what the tables map `code` to; returns false if they do not have it.
bool append_mapped(std::string& out, uint32_t code, std::span<const CaseRange> ranges,
                   std::span<const CaseText> texts) {
    const auto found =
        std::lower_bound(texts.begin(), texts.end(), code,
                         [](const CaseText& row, uint32_t c) { return row.code < c; });
    if (found != texts.end() && found->code == code) {
        out += found->text;
        return true;
    }
    const CaseRange* row = find_row(ranges, code);
    if (row == nullptr || (code - row->first) % row->stride != 0) return false;
    append_char(out, static_cast<uint32_t>(static_cast<int32_t>(code) + row->shift));
    return true;
}

bool append_upper(std::string& out, uint32_t code) {
    return append_mapped(out, code, kUpper, kUpperTexts);
}
bool append_title(std::string& out, uint32_t code) {
    return append_mapped(out, code, kTitle, kTitleTexts) || append_upper(out, code);
}

bool is_cased(uint32_t code) {
    return find_row<CaseProperty>(kCased, code) != nullptr;
}
bool is_ignored(uint32_t code) {
    return find_row<CaseProperty>(kCaseIgnored, code) != nullptr;
}

// Returns whether a letter comes first in `text`, not counting ignored characters, which do not
// separate letters.
bool continues_word(std::string_view text) {
    while (!text.empty()) {
        const Utf8Char next = first_char(text);
        if (!is_ignored(next.code)) return is_cased(next.code);
        text.remove_prefix(static_cast<size_t>(next.bytes));
    }
    return false;
}

// Maps each character of a text to title case where `begins_word` returns true, else to lower case.
// `begins_word` gets the position of the character and whether a letter precedes it.
template <typename BeginsWord>
std::string mapped(std::string_view text, const BeginsWord& begins_word) {
    std::string out;
    bool after_cased = false;  // the last character is a letter
    bool in_word = false;      // the last character that is not ignored is a letter
    for (size_t at = 0; at < text.size();) {
        const Utf8Char next = first_char(text.substr(at));
        const std::string_view bytes = text.substr(at, static_cast<size_t>(next.bytes));
        const std::string_view rest = text.substr(at + bytes.size());
        bool is_mapped = false;
        if (begins_word(at, after_cased)) {
            is_mapped = append_title(out, next.code);
        } else if (next.code == kCapitalSigma && in_word && !continues_word(rest)) {
            append_char(out, kFinalSigma);
            is_mapped = true;
        } else {
            is_mapped = append_mapped(out, next.code, kLower, kLowerTexts);
        }
        if (!is_mapped) out += bytes;
        after_cased = is_cased(next.code);
        if (!is_ignored(next.code)) in_word = after_cased;
        at += bytes.size();
    }
    return out;
}

}  // namespace

std::string upper_case(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const Utf8Char next = first_char(text);
        if (!append_upper(out, next.code)) out += text.substr(0, static_cast<size_t>(next.bytes));
        text.remove_prefix(static_cast<size_t>(next.bytes));
    }
    return out;
}

std::string lower_case(std::string_view text) {
    return mapped(text, [](size_t, bool) { return false; });
}

std::string title_case(std::string_view text) {
    return mapped(text, [](size_t, bool after_letter) { return !after_letter; });
}

std::string capitalized(std::string_view text) {
    return mapped(text, [](size_t at, bool) { return at == 0; });
}

}  // namespace vila::data
