#pragma once

// Gradients by central finite differences in f64.

#include <functional>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace vila::testing {

// Compares the gradients that backward() gives for every variable of `inputs` (f64, contiguous
// leaves) with (f(x + h) - f(x - h)) / 2h, where f is the sum of body's result weighted with random
// numbers. At most `probes` elements of each input are tried. Returns "" or what differs.
std::string check_gradients(const std::vector<std::pair<std::string, autograd::Variable>>& inputs,
                            const std::function<autograd::Variable()>& body, int64_t probes = 24);

}  // namespace vila::testing
