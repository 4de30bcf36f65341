#pragma once

// The case of letters, with the results of Python's str: one letter may become several ("ß" becomes
// "SS"), and a capital sigma at the end of a word becomes "ς". Bytes that are not valid UTF-8 stay.

#include <string>
#include <string_view>

namespace vila::data {

std::string upper_case(std::string_view text);
std::string lower_case(std::string_view text);
// Returns `text` with each letter that begins a word in title case and the others in lower case.
// Words are separated by everything that has no case.
std::string title_case(std::string_view text);
// Returns `text` with the first character in title case and the others in lower case.
std::string capitalized(std::string_view text);

}  // namespace vila::data
