#pragma once

// Helpers for reading and writing the four configurations of models/config.h.

#include <string>
#include <utility>
#include <vector>

#include "nn/init.h"
#include "tensor/dtype.h"
#include "tensor/json_fields.h"

namespace vila::models {

// Returns the architecture that a configuration names: the first entry of `architectures`, or if it
// has none, the architecture that belongs to its `model_type`. `known` lists the supported pairs
// (model_type, architecture). Throws for any other, and lists the known ones.
std::string architecture_of(const JsonFields& fields,
                            const std::vector<std::pair<std::string, std::string>>& known);

// Reads an initialization rule: a number (standard deviation), "fan_in_normal" or "fan_in_uniform".
// Returns `fallback` if the field is absent.
nn::InitRule read_init_rule(const JsonFields& fields, const std::string& name,
                            const nn::InitRule& fallback);
Json init_rule_json(const nn::InitRule& rule);

// The name of a dtype in the field `torch_dtype`: "float64", "float32", "bfloat16" or "float16".
const char* torch_dtype_name(DType dtype);

}  // namespace vila::models
