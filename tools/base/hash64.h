#pragma once

// A 64-bit hash that detects damaged files; it is not cryptographic. Four lanes of xor, multiply
// and rotate run over 32-byte stripes. Each step is a bijection of its lane, so a change of one
// 8-byte word always changes the hash; any other change is missed with probability 2^-64.

#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace vila::tools {

uint64_t hash64(const void* data, int64_t bytes);
// The hash of a tensor's elements in row-major order.
uint64_t hash64(const Tensor& tensor);
// The hash as sixteen hexadecimal digits.
std::string hash_text(uint64_t hash);

}  // namespace vila::tools
