#include "data/text/added_tokens.h"

#include <algorithm>

#include "data/text/unicode.h"

namespace vila::data {

namespace {

// Returns the offset of the last character of `text`; each byte of a broken sequence counts as one.
size_t last_char_offset(std::string_view text) {
    for (size_t length = 1; length <= std::min<size_t>(text.size(), 4); ++length) {
        const Utf8Char last = first_char(text.substr(text.size() - length));
        if (last.code != kInvalidCode && last.bytes == static_cast<int64_t>(length))
            return text.size() - length;
    }
    return text.size() - 1;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
    const std::string_view before = text.substr(0, begin), after = text.substr(end);
    if (!before.empty() && is_word_char(first_char(before.substr(last_char_offset(before))).code))
        return false;
    return after.empty() || !is_word_char(first_char(after).code);
}

size_t skip_space_back(std::string_view text, size_t begin, size_t floor) {
    while (begin > floor) {
        const std::string_view before = text.substr(floor, begin - floor);
        const size_t offset = last_char_offset(before);
        if (char_class(first_char(before.substr(offset)).code) != CharClass::Space) break;
        begin = floor + offset;
    }
    return begin;
}

size_t skip_space(std::string_view text, size_t end) {
    while (end < text.size()) {
        const Utf8Char next = first_char(text.substr(end));
        if (char_class(next.code) != CharClass::Space) break;
        end += next.bytes;
    }
    return end;
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token) {
    contents_.add(token.content, static_cast<int64_t>(tokens_.size()));
    tokens_.push_back(token);
}

void AddedTokenFinder::split(std::string_view text,
                             const std::function<void(std::string_view)>& on_text,
                             const std::function<void(int32_t)>& on_token) const {
    size_t done = 0;
    for (size_t at = 0; at < text.size() && !tokens_.empty();) {
        const PrefixTrie::Match match = contents_.may_begin(text[at])
                                            ? contents_.longest(text.substr(at))
                                            : PrefixTrie::Match{};
        if (match.value < 0) {
            ++at;
            continue;
        }
        const AddedToken& token = tokens_[match.value];
        size_t begin = at, end = at + token.content.size();
        at = end;
        if (token.single_word && !stands_alone(text, begin, end)) continue;
        if (token.lstrip) begin = skip_space_back(text, begin, done);
        if (token.rstrip) end = skip_space(text, end);
        if (begin > done) on_text(text.substr(done, begin - done));
        on_token(token.id);
        done = at = end;
    }
    if (done < text.size()) on_text(text.substr(done));
}

}  // namespace vila::data
