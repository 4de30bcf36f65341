#pragma once

// What the readers of the four configurations share.

#include <string>
#include <utility>
#include <vector>

#include "nn/init.h"
#include "tensor/dtype.h"
#include "tensor/json_fields.h"

namespace vila::models {

// The file's architecture: an entry of `architectures`, else what its `model_type` stands for.
// `known` maps model types to architectures; throws a line listing them for any other.
std::string architecture_of(const JsonFields& fields,
                            const std::vector<std::pair<std::string, std::string>>& known);

// A rule from a number (standard deviation), "fan_in_normal" or "fan_in_uniform"; or the fallback.
nn::InitRule read_init_rule(const JsonFields& fields, const std::string& name,
                            const nn::InitRule& fallback);
Json init_rule_json(const nn::InitRule& rule);

// "bfloat16", "float32": how configurations name a dtype.
const char* torch_dtype_name(DType dtype);

}  // namespace vila::models
