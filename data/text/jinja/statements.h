#pragma once

// The statements of a template: a tree that prints when it runs.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/text/jinja/expressions.h"

namespace vila::data::jinja {

// The way a statement ended: normally, or with a break or continue of the enclosing loop.
enum class Flow { Normal, Break, Continue };

class Statement {
  public:
    virtual ~Statement() = default;
    virtual Flow run(Runtime& runtime) const = 0;

    int line = 0;
};

using Block = std::vector<std::unique_ptr<const Statement>>;

// Runs the statements in order, and stops at a break or continue.
Flow run_block(const Block& block, Runtime& runtime);

// The left side of an assignment: `x`, `space.x`, or several of these, which take the elements of a
// list.
struct Target {
    std::string name;
    std::string member;            // of the namespace `name`; empty for a variable
    std::vector<Target> elements;  // if not empty, takes one element of a list each

    void assign(Runtime& runtime, const Value& value) const;
};

// Text between tags.
struct Text : Statement {
    std::string text;
    Flow run(Runtime& runtime) const override;
};

// {{ expression }}
struct Print : Statement {
    ExpressionPointer expression;
    Flow run(Runtime& runtime) const override;
};

// {% if %} {% elif %} {% else %}: runs the first branch whose condition is true. The condition of
// else is null.
struct If : Statement {
    std::vector<std::pair<ExpressionPointer, Block>> branches;
    Flow run(Runtime& runtime) const override;
};

// {% for target in list if condition %} {% else %}
struct For : Statement {
    Target target;
    ExpressionPointer list, condition;  // `condition` may be null
    Block body, otherwise;
    Flow run(Runtime& runtime) const override;
};

// {% set target = value %}, or {% set target %} body {% endset %} where `value` is null.
struct Set : Statement {
    Target target;
    ExpressionPointer value;
    Block body;
    std::vector<std::pair<std::string, ArgumentExpressions>> filters;  // applied to the body's text
    Flow run(Runtime& runtime) const override;
};

// {% macro name(parameters) %} body {% endmacro %}. The function that it defines refers to it.
struct Macro : Statement {
    std::string name;
    std::vector<std::pair<std::string, ExpressionPointer>> parameters;  // with default or null
    Block body;
    Flow run(Runtime& runtime) const override;

  private:
    Value call(Runtime& runtime, const Runtime::Place& definition,
               const Arguments& arguments) const;
};

// {% break %} and {% continue %}
struct Jump : Statement {
    Flow flow = Flow::Break;
    Flow run(Runtime&) const override { return flow; }
};

// {% with target = value, ... %} body {% endwith %}: variables of the body.
struct With : Statement {
    std::vector<std::pair<Target, ExpressionPointer>> variables;
    Block body;
    Flow run(Runtime& runtime) const override;
};

// {% filter name(arguments) | ... %} body {% endfilter %}: prints the body after the filters.
struct FilterBlock : Statement {
    Block body;
    std::vector<std::pair<std::string, ArgumentExpressions>> filters;
    Flow run(Runtime& runtime) const override;
};

// {% generation %} body {% endgeneration %}: marks an answer for training. Prints the body.
struct Group : Statement {
    Block body;
    Flow run(Runtime& runtime) const override;
};

}  // namespace vila::data::jinja
