#pragma once

// Texts of bounded length for messages, because names and values in a file may have any length.

#include <cstddef>
#include <string>
#include <string_view>

namespace vila {

// The most bytes of a line that a command prints about an error.
inline constexpr size_t kMaxMessage = 300;

// Returns `text`, or, if it has more than `most` bytes, its beginning and its end with "..."
// between them. Both matter in a message: the beginning names the file and the field, the end names
// the fix. UTF-8 characters stay whole. `most` must be at least 10.
std::string shortened(std::string_view text, size_t most = kMaxMessage);

}  // namespace vila
