#pragma once

// Helpers of the readers and writers of the four configurations.

#include <string>
#include <utility>
#include <vector>

#include "nn/init.h"
#include "tensor/dtype.h"
#include "tensor/json_fields.h"

namespace vila::models {

// Returns the architecture of a file: the first entry of `architectures`, or else the one of its
// `model_type`. `known` lists (model type, architecture). Throws for any other and names the known
// ones.
std::string architecture_of(const JsonFields& fields,
                            const std::vector<std::pair<std::string, std::string>>& known);

// Reads a rule: a number (standard deviation), "fan_in_normal" or "fan_in_uniform". Returns the
// fallback if the field is absent.
nn::InitRule read_init_rule(const JsonFields& fields, const std::string& name,
                            const nn::InitRule& fallback);
Json init_rule_json(const nn::InitRule& rule);

// The name of a dtype in configurations: "bfloat16", "float16", "float64" or "float32".
const char* torch_dtype_name(DType dtype);

}  // namespace vila::models
