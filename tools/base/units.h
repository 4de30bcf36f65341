#pragma once

// Byte counts in decimal units: 1 GB is 1e9 bytes, in options and in messages.

#include <cstdint>
#include <cstdio>
#include <string>

namespace vila::tools {

inline constexpr double kGigabyte = 1e9;

// "24.150 GB".
inline std::string gigabytes(int64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f GB", static_cast<double>(bytes) / kGigabyte);
    return text;
}

}  // namespace vila::tools
