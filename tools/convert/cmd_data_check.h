#pragma once

// The action `check` of `vila data`.

#include <string>
#include <vector>

namespace vila::tools {

// Runs the action with the words after its name; returns the exit code. Throws Error if training on
// the data would not start or would stop.
int check_data(std::vector<std::string> arguments);

}  // namespace vila::tools
