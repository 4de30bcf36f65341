#pragma once

// Parses expressions. The precedence of Jinja, from lowest to highest: if-else, or, and, not,
// comparisons, + and -, ~, * / // %, **, signs, then members, calls, filters and tests.

#include "data/text/jinja/expressions.h"
#include "data/text/jinja/token_reader.h"

namespace vila::data::jinja {

// Parses one expression, or several with commas between them, which make a list.
ExpressionPointer parse_expressions(TokenReader& reader);
// Parses one expression. Without `conditional`, an "if" after it is not part of it: in a for tag it
// begins the condition of the loop.
ExpressionPointer parse_expression(TokenReader& reader, bool conditional = true);
// Parses the rest of "(a, b, name=c)" after its opening parenthesis.
ArgumentExpressions parse_arguments(TokenReader& reader);

}  // namespace vila::data::jinja
