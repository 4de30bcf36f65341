#pragma once

// Arithmetic and comparison of two values, by the rules of Python.

#include <string>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

// operation: "+", "-", "*", "/", "//", "%" or "**". Integers stay integers where Python keeps them;
// throws on division by zero, above 2^63 - 1, and for kinds that do not go together.
Value arithmetic(Runtime& runtime, const std::string& operation, const Value& a, const Value& b);

// operation: "==", "!=", "<", "<=", ">", ">=", "in" or "not in".
bool compare(const std::string& operation, const Value& a, const Value& b);

}  // namespace vila::data::jinja
