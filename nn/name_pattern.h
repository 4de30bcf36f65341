#pragma once

// Patterns that select parameters by name.

#include <string_view>

namespace vila::nn {

// Whether `pattern` matches all of `name`. A '*' in the pattern stands for any run of characters,
// also an empty one: "model.layers.*.q_proj.weight".
bool matches(std::string_view pattern, std::string_view name);

}  // namespace vila::nn
