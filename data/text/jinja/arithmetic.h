#pragma once

// Arithmetic and comparison of two values, by the rules of Python.

#include <string>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

// `operation` is "+", "-", "*", "/", "//", "%" or "**". The result of integers is an integer where
// it is one in Python; text % arguments is percent_formatted(). Throws Error for division by zero,
// for results beyond 64 bits, and for types that the operation does not take.
Value arithmetic(Runtime& runtime, const std::string& operation, const Value& a, const Value& b);

// `operation` is "==", "!=", "<", "<=", ">", ">=", "in" or "not in".
bool compare(Runtime& runtime, const std::string& operation, const Value& a, const Value& b);

}  // namespace vila::data::jinja
