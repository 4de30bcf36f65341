#pragma once

// Python's formatting of text by the operator %: "%s has %d" % (name, count).

#include <string_view>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

// Returns `format` with its conversions replaced by the arguments: the elements of a tuple, the
// members that %(name)s names of a dict, or one value. Conversions s, r, d, i, u, c, x, X, o, e, E,
// f, F, g and G, with the flags "-", "+", " " and "0", a width and a precision. Throws Error where
// Python does, and for what is not implemented: the flag "#", the conversion a, and a width or
// precision above 1000.
Value percent_formatted(Runtime& runtime, std::string_view format, const Value& arguments);

}  // namespace vila::data::jinja
