#pragma once

// The expressions of a template: a tree of nodes that compute a value each.

#include <memory>
#include <string>
#include <vector>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

class Expression {
  public:
    virtual ~Expression() = default;
    virtual Value evaluate(Runtime& runtime) const = 0;

    // Levels of the tree below and with this node. Evaluation recurses, so trees are kept shallow.
    int depth = 1;
};

using ExpressionPointer = std::unique_ptr<const Expression>;

struct ArgumentExpressions {
    std::vector<ExpressionPointer> positional;
    std::vector<std::pair<std::string, ExpressionPointer>> keywords;

    Arguments evaluate(Runtime& runtime) const;
    int depth() const;
};

// Each throws Error where the tree would get deeper than evaluation can go.
ExpressionPointer make_constant(Value value);
ExpressionPointer make_name(std::string name);
ExpressionPointer make_list(std::vector<ExpressionPointer> elements);
ExpressionPointer make_dict(std::vector<std::pair<ExpressionPointer, ExpressionPointer>> members);
ExpressionPointer make_attribute(ExpressionPointer object, std::string name);
ExpressionPointer make_subscript(ExpressionPointer object, ExpressionPointer key);
// A null pointer stands for an index that is left out.
ExpressionPointer make_slice(ExpressionPointer object, ExpressionPointer start,
                             ExpressionPointer stop, ExpressionPointer step);
ExpressionPointer make_call(ExpressionPointer function, ArgumentExpressions arguments);
ExpressionPointer make_filter(ExpressionPointer value, std::string name,
                              ArgumentExpressions arguments);
ExpressionPointer make_test(ExpressionPointer value, std::string name,
                            ArgumentExpressions arguments, bool negated);
// operation: "not", "-", "+"
ExpressionPointer make_unary(std::string operation, ExpressionPointer operand);
// operation: "and", "or", "~", "+", "-", "*", "/", "//", "%", "**"
ExpressionPointer make_binary(std::string operation, ExpressionPointer left,
                              ExpressionPointer right);
// first < second == third ...: operations: "==", "!=", "<", "<=", ">", ">=", "in", "not in"
ExpressionPointer make_comparison(ExpressionPointer first,
                                  std::vector<std::pair<std::string, ExpressionPointer>> rest);
// then if condition else otherwise; `otherwise` may be null: Undefined.
ExpressionPointer make_conditional(ExpressionPointer condition, ExpressionPointer then,
                                   ExpressionPointer otherwise);

}  // namespace vila::data::jinja
