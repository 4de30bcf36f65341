#pragma once

// Byte counts as decimal units (1 GB = 1e9 bytes), as messages and options give them.

#include <cstdint>

namespace vila::tools {

inline constexpr double kGigabyte = 1e9;

// GB, rounded down to one decimal place, for messages.
constexpr double gigabytes(int64_t bytes) {
    return static_cast<double>(bytes / 100'000'000) / 10;
}

}  // namespace vila::tools
