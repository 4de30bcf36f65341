#pragma once

// Parses the source of a template into its statements.

#include <string_view>

#include "data/text/jinja/statements.h"

namespace vila::data::jinja {

// Throws Error "line N: ..." if the source is not Jinja or has a tag that is not implemented.
Block parse(std::string_view source);

}  // namespace vila::data::jinja
