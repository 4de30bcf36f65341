#pragma once

// Text that others wrote: recognizes files that are no text, and reads text as Python's text mode
// does.

#include <cstddef>
#include <string>
#include <string_view>

namespace vila::data {

// The bytes at the beginning of a file that the functions below look at.
inline constexpr size_t kStartBytes = 512;

// Returns whether a file that begins with `start` is compressed by gzip.
bool is_gzip(std::string_view start);

// Throws if a file that begins with `start` is an archive, a table, UTF-16 or anything else that
// is mistaken for a text file. The message says what the file is and how to convert it. `name`
// names the file.
void check_is_text(std::string_view start, const std::string& name);

// Returns `bytes` as text: without a byte-order mark, and with "\n" for every line end ("\r\n" and
// "\r" too). Throws if the bytes are not UTF-8.
std::string read_text(std::string_view bytes);

}  // namespace vila::data
