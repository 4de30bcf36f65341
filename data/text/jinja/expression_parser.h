#pragma once

// Expressions by the precedence of Jinja, from the loosest to the tightest: if-else, or, and, not,
// comparisons, + and -, ~, * / // %, **, signs, then members, calls, filters and tests.

#include "data/text/jinja/expressions.h"
#include "data/text/jinja/token_reader.h"

namespace vila::data::jinja {

// One expression, or with commas a list.
ExpressionPointer parse_expressions(TokenReader& reader);
// One expression. Without `conditional` an "if" after it is not part of it: the list of a for.
ExpressionPointer parse_expression(TokenReader& reader, bool conditional = true);
// "(a, b, name=c)" after its opening parenthesis.
ArgumentExpressions parse_arguments(TokenReader& reader);

}  // namespace vila::data::jinja
