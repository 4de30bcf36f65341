#pragma once

// The methods of str.

#include <string>
#include <string_view>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

bool is_text_method(std::string_view name);
// Calls a method of `text`. Throws Error if it cannot take its arguments.
Value call_text_method(Runtime& runtime, std::string_view name, const std::string& text,
                       const Arguments& arguments);

// Returns `text` with each character that begins a word in upper case and the others in lower case,
// as Jinja's filter title does. Words are separated by white space and by -({[<.
std::string titled_words(std::string_view text);

}  // namespace vila::data::jinja
