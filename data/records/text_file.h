#pragma once

// Text from other programs: recognizes files that are not text, and reads text as Python's text
// mode does.

#include <cstddef>
#include <string>
#include <string_view>

namespace vila::data {

// The number of bytes at the beginning of a file that is_gzip() and check_is_text() need.
inline constexpr size_t kStartBytes = 512;

// Returns whether a file that begins with `start` is compressed by gzip.
bool is_gzip(std::string_view start);

// Throws if a file that begins with `start` is of a known kind that is not text: an archive, a
// table, UTF-16, ... The message begins with `name`, and says what the file is and how to convert
// it.
void check_is_text(std::string_view start, const std::string& name);

// Returns `bytes` as text: without a byte-order mark, and with "\n" for every line end ("\r\n" and
// "\r" too). Throws if the bytes are not UTF-8.
std::string read_text(std::string_view bytes);

}  // namespace vila::data
