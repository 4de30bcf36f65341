#pragma once

// Helpers for reading and writing the four configurations of models/config.h.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/init.h"
#include "tensor/dtype.h"
#include "tensor/json_fields.h"

namespace vila::models {

// Returns whether two names mean the same architecture: early files spell Llama as LLaMA.
bool same_architecture(std::string_view a, std::string_view b);
// Pairs (model_type, architecture).
using Architectures = std::vector<std::pair<std::string, std::string>>;
// The language models that are implemented.
const Architectures& language_models();
// The vision towers that are implemented, alone or in a whole CLIP or SigLIP model.
const Architectures& vision_towers();

// Returns the architecture that a configuration names: the first entry of `architectures`, or if it
// is absent or empty, the architecture that belongs to its `model_type`. Throws for one that is not
// in `known`; the message lists `expected`, by default the known ones.
std::string architecture_of(const JsonFields& fields, const Architectures& known,
                            const std::string& expected = "");

// Returns whether architecture_of() finds an architecture in `known`.
bool has_architecture_of(const JsonFields& fields, const Architectures& known);

// Reads a token id or a list of them; none if the field is absent.
std::vector<int32_t> read_token_ids(const JsonFields& fields, const std::string& name);

// Reads an initialization rule: a number (standard deviation), "fan_in_normal" or "fan_in_uniform".
// Returns `fallback` if the field is absent.
nn::InitRule read_init_rule(const JsonFields& fields, const std::string& name,
                            const nn::InitRule& fallback);
Json init_rule_json(const nn::InitRule& rule);

// The name of a dtype in the field `torch_dtype`: "float64", "float32", "bfloat16" or "float16".
const char* torch_dtype_name(DType dtype);

}  // namespace vila::models
