#pragma once

// Checks gradients by central finite differences in f64.

#include <functional>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace vila::testing {

// Compares the gradients that backward() computes for every variable of `inputs` (f64, contiguous
// leaves) with (f(x + h) - f(x - h)) / 2h, where f is the sum of body's result weighted with random
// numbers. Tries at most `probes` elements of each input. Returns "" or a description of the first
// difference.
std::string check_gradients(const std::vector<std::pair<std::string, autograd::Variable>>& inputs,
                            const std::function<autograd::Variable()>& body, int64_t probes = 24);

}  // namespace vila::testing
