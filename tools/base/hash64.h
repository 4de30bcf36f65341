#pragma once

// A 64-bit hash for finding damage in files, not for security: four lanes of xor, rotate and
// multiply over 32-byte stripes. Each step is a bijection of its lane, so a change confined to one
// 8-byte word always changes the hash; other changes go unnoticed once in 2^64.

#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace vila::tools {

uint64_t hash64(const void* data, int64_t bytes);
// The hash of a contiguous tensor's elements.
uint64_t hash64(const Tensor& tensor);
// Sixteen hexadecimal digits.
std::string hash_text(uint64_t hash);

}  // namespace vila::tools
