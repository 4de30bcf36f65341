#pragma once

// Base64 (RFC 4648, with padding), for images inside HTML pages and JSON requests.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vila::data {

std::string base64_encode(std::span<const uint8_t> bytes);

// Decodes base64, skipping white space between the characters. Throws Error on any other character
// outside the alphabet, on wrong padding and on nonzero bits after the last byte.
std::vector<uint8_t> base64_decode(std::string_view text);

}  // namespace vila::data
