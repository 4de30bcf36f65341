#pragma once

// From the tokens of a template to its statements.

#include <string_view>

#include "data/text/jinja/statements.h"

namespace vila::data::jinja {

// Throws Error "line N: ..." for what is no Jinja, and for tags that are not implemented.
Block parse(std::string_view source);

}  // namespace vila::data::jinja
