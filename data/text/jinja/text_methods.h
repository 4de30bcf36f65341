#pragma once

// The methods of str. Upper and lower case exist for ASCII letters only.

#include <string>
#include <string_view>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

bool is_text_method(std::string_view name);
// Calls a method of `text`. Throws Error if it cannot take its arguments.
Value call_text_method(Runtime& runtime, std::string_view name, const std::string& text,
                       const Arguments& arguments);

// Returns `text` with each letter that begins a word in upper case and the others in lower case.
// `ends_word` tells whether a character is between words.
std::string titled(std::string text, bool (*ends_word)(char));

}  // namespace vila::data::jinja
