#pragma once

// Removes white space from both ends of a text.

#include <string_view>

namespace vila::data {

// Returns `text` without the characters of `blanks` at either end. The default is ASCII white
// space; a caller that follows another program's rule passes that program's set.
inline std::string_view trimmed(std::string_view text, std::string_view blanks = " \t\r\n\v\f") {
    const size_t begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

}  // namespace vila::data
