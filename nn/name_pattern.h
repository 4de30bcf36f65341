#pragma once

// Patterns that select parameters by name.

#include <string_view>

namespace vila::nn {

// Returns true if `pattern` matches the whole of `name`. A '*' in the pattern matches any number of
// characters, or none: "model.layers.*.q_proj.weight".
bool matches(std::string_view pattern, std::string_view name);

}  // namespace vila::nn
