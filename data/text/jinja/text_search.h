#pragma once

// The methods of str that search a text, cut it at what they find, or pad it. Positions and widths
// are in characters.

#include <string>
#include <string_view>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

// startswith() and endswith().
bool has_affix(const std::string& text, const Arguments& arguments, bool at_start);
// removeprefix() and removesuffix().
Value without_affix(Runtime& runtime, std::string_view text, const Arguments& arguments,
                    bool at_start);
// find() and rfind(): the position of the argument in `text`, -1 if it is not there.
Value find_text(Runtime& runtime, std::string_view text, const Arguments& arguments,
                bool from_right);
// index() and rindex(): the position of the argument in `text`. Throws Error if it is not there.
Value index_of_text(Runtime& runtime, std::string_view text, const Arguments& arguments,
                    bool from_right);
Value count_text(Runtime& runtime, std::string_view text, const Arguments& arguments);
// partition() and rpartition().
Value partitioned(Runtime& runtime, std::string_view text, const Arguments& arguments,
                  bool from_right);

enum class Side { Left, Right, Both };
// ljust(), rjust() and center(): `side` is where the text stands in the padded result.
Value padded(Runtime& runtime, std::string_view text, const Arguments& arguments, Side side);

}  // namespace vila::data::jinja
