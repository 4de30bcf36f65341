#pragma once

// The JSON header of a safetensors file: parsing, checking and printing. Used by safetensors.cpp
// and by tests that feed it garbage.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/json_scanner.h"
#include "tensor/shape.h"

namespace vila {

// Longest header accepted, as in the reference reader.
constexpr int64_t kMaxSafetensorsHeader = 100'000'000;
// Longest tensor name accepted.
constexpr int64_t kMaxTensorName = 1024;

// The entry of one tensor in the header.
struct TensorInfo {
    std::string dtype;  // as in the file: "BF16"; may be a type no Tensor can hold ("F8_E4M3")
    Shape shape;
    int64_t begin = 0;  // byte offsets from the start of the data, which follows the header
    int64_t end = 0;
};

struct SafetensorsHeader {
    std::map<std::string, TensorInfo> tensors;
    std::map<std::string, std::string> metadata;
    std::vector<std::string> names;  // in the order of their data

    // Parses the header of a file with `data_bytes` bytes after the header, and checks every rule
    // of the format: schema, unique names, known types, sizes that agree with shapes, data that is
    // covered once and completely. Throws Error("tensor NAME: ...") without the file's name.
    static SafetensorsHeader parse(std::string_view json, int64_t data_bytes);
};

// Throws unless a tensor may have this name: UTF-8 of limited length, no control characters.
void check_tensor_name(std::string_view name);

// Bits of one element, 0 for an unknown type.
int64_t safetensors_dtype_bits(std::string_view dtype);

}  // namespace vila
