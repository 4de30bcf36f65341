#pragma once

// The expressions of a template: a tree of nodes, each of which computes a value.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/text/jinja/runtime.h"
#include "tensor/check.h"

namespace vila::data::jinja {

class Expression {
  public:
    explicit Expression(int levels) : depth(levels) {}
    virtual ~Expression() = default;

    // Counts one step.
    Value evaluate(Runtime& runtime) const {
        const Runtime::Level level(runtime);
        runtime.step();
        return compute(runtime);
    }

    const int depth;  // levels of the tree with this node as its root

  private:
    virtual Value compute(Runtime& runtime) const = 0;
};

using ExpressionPointer = std::unique_ptr<const Expression>;

struct ArgumentExpressions {
    std::vector<ExpressionPointer> positional;
    std::vector<std::pair<std::string, ExpressionPointer>> keywords;

    Arguments evaluate(Runtime& runtime) const;
};

// The kinds of nodes. make<KIND>(FIELDS...) makes one.

struct Constant {
    Value value;
    Value evaluate(Runtime&) const { return value; }
};

struct Name {
    std::string name;
    Value evaluate(Runtime& runtime) const { return runtime.lookup(name); }
};

struct ListDisplay {  // [a, b] and (a, b)
    std::vector<ExpressionPointer> elements;
    ListKind kind;
    Value evaluate(Runtime& runtime) const;
};

struct DictDisplay {  // {a: b}
    std::vector<std::pair<ExpressionPointer, ExpressionPointer>> members;
    Value evaluate(Runtime& runtime) const;
};

struct AttributeOf {  // object.name
    ExpressionPointer object;
    std::string name;
    Value evaluate(Runtime& runtime) const;
};

struct ElementOf {  // object[key]
    ExpressionPointer object, key;
    Value evaluate(Runtime& runtime) const;
};

struct SliceOf {  // object[start:stop:step]; a null pointer stands for an index that is left out
    ExpressionPointer object, start, stop, step;
    Value evaluate(Runtime& runtime) const;
};

struct Call {  // function(arguments)
    ExpressionPointer function;
    ArgumentExpressions arguments;
    Value evaluate(Runtime& runtime) const;
};

struct Filter {  // value | name(arguments)
    ExpressionPointer value;
    std::string name;
    ArgumentExpressions arguments;
    Value evaluate(Runtime& runtime) const;
};

struct Test {  // value is name(arguments), value is not name(arguments)
    ExpressionPointer value;
    std::string name;
    ArgumentExpressions arguments;
    bool negated;
    Value evaluate(Runtime& runtime) const;
};

struct Unary {  // operation: "not", "-", "+"
    std::string operation;
    ExpressionPointer operand;
    Value evaluate(Runtime& runtime) const;
};

struct Binary {  // operation: "and", "or", "~", "+", "-", "*", "/", "//", "%", "**"
    std::string operation;
    ExpressionPointer left, right;
    Value evaluate(Runtime& runtime) const;
};

// first < second == third ...; operations: "==", "!=", "<", "<=", ">", ">=", "in", "not in"
struct Comparison {
    ExpressionPointer first;
    std::vector<std::pair<std::string, ExpressionPointer>> rest;
    Value evaluate(Runtime& runtime) const;
};

struct Conditional {  // then if condition else otherwise; without else, `otherwise` is null
    ExpressionPointer then, condition, otherwise;
    Value evaluate(Runtime& runtime) const;
};

// Each returns the depth of the expressions in a field: 0 if it holds none.
template <typename Field>
int depth_of(const Field&) {
    return 0;
}
inline int depth_of(const ExpressionPointer& child) {
    return child == nullptr ? 0 : child->depth;
}
template <typename Key>
int depth_of(const std::pair<Key, ExpressionPointer>& pair) {
    return std::max(depth_of(pair.first), depth_of(pair.second));
}
template <typename Child>
int depth_of(const std::vector<Child>& children) {
    int depth = 0;
    for (const Child& child : children) depth = std::max(depth, depth_of(child));
    return depth;
}
inline int depth_of(const ArgumentExpressions& arguments) {
    return std::max(depth_of(arguments.positional), depth_of(arguments.keywords));
}

// Makes a node of the given kind. Throws Error if the tree gets deeper than kMaxDepth, because
// evaluation and destruction recurse.
template <typename Kind, typename... Fields>
ExpressionPointer make(Fields... fields) {
    struct Node : Expression {
        Node(int levels, Kind given) : Expression(levels), kind(std::move(given)) {}
        Value compute(Runtime& runtime) const override { return kind.evaluate(runtime); }

        const Kind kind;
    };
    constexpr int kMaxDepth = 200;
    const int depth = 1 + std::max({0, depth_of(fields)...});
    VILA_CHECK(depth <= kMaxDepth, "an expression is nested more than ", kMaxDepth, " levels deep");
    return std::make_unique<const Node>(depth, Kind{std::move(fields)...});
}

}  // namespace vila::data::jinja
