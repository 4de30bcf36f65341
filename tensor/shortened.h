#pragma once

// Texts of bounded length for messages: names and values that a file holds may have any length.

#include <cstddef>
#include <string>
#include <string_view>

namespace vila {

// The most bytes of a line that a command prints about an error.
inline constexpr size_t kMaxMessage = 300;

// Returns `text`, or, if it has more than `most` bytes, its beginning and end with "..." between.
// The beginning of a message tells the file and the field, its end the fix. Characters of UTF-8
// stay whole. `most` is at least 10.
std::string shortened(std::string_view text, size_t most = kMaxMessage);

}  // namespace vila
