#include "data/text/split_pattern.h"

#include <algorithm>
#include <charconv>

namespace vila::data {

namespace {

// Takes one code point from the front of a pattern.
uint32_t take(std::string_view& regex) {
    const Utf8Char next = first_char(regex);
    regex.remove_prefix(next.bytes);
    return next.code;
}

bool take(std::string_view& regex, std::string_view text) {
    if (!regex.starts_with(text)) return false;
    regex.remove_prefix(text.size());
    return true;
}

// Takes \p{L}, \p{N} or \s.
std::optional<CharClass> take_class(std::string_view& regex) {
    if (take(regex, "\\p{L}")) return CharClass::Letter;
    if (take(regex, "\\p{N}")) return CharClass::Number;
    if (take(regex, "\\s")) return CharClass::Space;
    return std::nullopt;
}

// Takes a literal character, outside or inside brackets.
std::optional<uint32_t> take_literal(std::string_view& regex, bool in_brackets) {
    if (take(regex, "\\r")) return '\r';
    if (take(regex, "\\n")) return '\n';
    if (take(regex, "\\t")) return '\t';
    const std::string_view special = in_brackets ? "\\[]^&" : "\\[](){}.?*+|^$";
    if (regex.empty() || special.find(regex[0]) != std::string_view::npos) return std::nullopt;
    return take(regex);
}

// Takes ?, *, + or {least,most}.
bool take_repetitions(std::string_view& regex, int64_t& least, int64_t& most) {
    if (take(regex, "?")) {
        least = 0;
    } else if (take(regex, "*")) {
        least = 0;
        most = INT64_MAX;
    } else if (take(regex, "+")) {
        most = INT64_MAX;
    } else if (take(regex, "{")) {
        const size_t end = regex.find('}');
        if (end == std::string_view::npos) return false;
        const char* last = regex.data() + end;
        auto parsed = std::from_chars(regex.data(), last, least);
        most = least;
        if (parsed.ec == std::errc() && parsed.ptr != last && *parsed.ptr == ',')
            parsed = std::from_chars(parsed.ptr + 1, last, most);
        if (parsed.ec != std::errc() || parsed.ptr != last || least > most || least < 0)
            return false;
        regex.remove_prefix(end + 1);
    }
    // No lazy or possessive repetitions.
    return !regex.starts_with('?') && !regex.starts_with('*') && !regex.starts_with('+');
}

}  // namespace

bool SplitPattern::Set::holds(uint32_t code) const {
    const bool in = std::ranges::find(classes, char_class(code)) != classes.end() ||
                    std::ranges::any_of(ranges, [&](const auto& range) {
                        return range.first <= code && code <= range.second;
                    });
    return in != negated;
}

std::optional<SplitPattern> SplitPattern::parse(const std::string& regex) {
    SplitPattern pattern;
    pattern.regex_ = regex;
    if (!pattern.parse_sets(regex)) return std::nullopt;
    return pattern;
}

bool SplitPattern::parse_sets(std::string_view regex) {
    while (!regex.empty()) {
        if (regex == "$") {
            at_end_ = true;
            break;
        }
        Set set;
        if (const auto kind = take_class(regex)) {
            set.classes.push_back(*kind);
        } else if (take(regex, "[")) {
            set.negated = take(regex, "^");
            while (!take(regex, "]")) {
                if (const auto kind_inside = take_class(regex)) {
                    set.classes.push_back(*kind_inside);
                    continue;
                }
                const auto first = take_literal(regex, true);
                if (!first) return false;
                auto last = first;
                const bool is_range = regex.starts_with('-') && !regex.starts_with("-]");
                if (is_range && take(regex, "-")) last = take_literal(regex, true);
                if (!last || *last < *first) return false;
                set.ranges.emplace_back(*first, *last);
            }
        } else {
            const auto literal = take_literal(regex, false);
            if (!literal) return false;
            set.ranges.emplace_back(*literal, *literal);
        }
        if (!take_repetitions(regex, set.least, set.most)) return false;
        sets_.push_back(std::move(set));
    }
    // Refuses patterns that match an empty text, which split nowhere, and those that could take
    // more than linear time.
    constexpr int64_t kMost = 4;
    const auto is_short = [](const Set& set) { return set.most <= kMost; };
    return !sets_.empty() && sets_.size() <= kMost && sets_.back().least > 0 &&
           sets_.back().least <= kMost && std::all_of(sets_.begin(), sets_.end() - 1, is_short) &&
           (!at_end_ || sets_.size() == 1);
}

int64_t SplitPattern::match(std::string_view text, size_t set) const {
    if (set == sets_.size()) {
        const bool fits = !at_end_ || text.empty() || text[0] == '\n';
        return fits ? 0 : -1;
    }
    // Tries the largest number of repetitions first, then fewer.
    const Set& own = sets_[set];
    std::vector<int64_t> ends = {0};
    while (static_cast<int64_t>(ends.size()) <= own.most &&
           ends.back() < static_cast<int64_t>(text.size())) {
        const Utf8Char next = first_char(text.substr(ends.back()));
        if (!own.holds(next.code)) break;
        ends.push_back(ends.back() + next.bytes);
    }
    for (; static_cast<int64_t>(ends.size()) > own.least; ends.pop_back()) {
        const int64_t rest = match(text.substr(ends.back()), set + 1);
        if (rest >= 0) return ends.back() + rest;
    }
    return -1;
}

int64_t SplitPattern::next_word(std::string_view text) const {
    int64_t start = 0;
    while (start < static_cast<int64_t>(text.size())) {
        const int64_t length = match(text.substr(start), 0);
        if (length > 0) return start > 0 ? start : length;
        // With `$` there is one set. A run of its characters that does not end a line has no match
        // inside the run either.
        do {
            start += first_char(text.substr(start)).bytes;
        } while (at_end_ && start < static_cast<int64_t>(text.size()) &&
                 sets_[0].holds(first_char(text.substr(start)).code));
    }
    return start;
}

}  // namespace vila::data
