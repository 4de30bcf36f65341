#pragma once

// Integer arithmetic for sizes and counts, on the host and in CUDA kernels.

#include <cstdint>

namespace vila {

// ceil(a / b) for a >= 0 and b > 0.
constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// The smallest multiple of `multiple` that is at least a, for a >= 0 and multiple > 0.
constexpr int64_t round_up(int64_t a, int64_t multiple) {
    return ceil_div(a, multiple) * multiple;
}

}  // namespace vila
