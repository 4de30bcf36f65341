#pragma once

// The statements of a template, as a tree that prints when it runs.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/text/jinja/expressions.h"

namespace vila::data::jinja {

// How a statement ended: by a break or continue of the loop around it, or normally.
enum class Flow { Normal, Break, Continue };

class Statement {
  public:
    virtual ~Statement() = default;
    virtual Flow run(Runtime& runtime) const = 0;

    int line = 0;
};

using Block = std::vector<std::unique_ptr<const Statement>>;

// Runs the statements in order, up to a break or continue.
Flow run_block(const Block& block, Runtime& runtime);

// Where an assignment goes: `x`, `space.x`, or several of them that take the elements of a list.
struct Target {
    std::string name;
    std::string member;            // of the namespace `name`; empty for a variable
    std::vector<Target> elements;  // not empty: unpack

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

// {% if %} {% elif %} {% else %}: the first branch whose condition holds; no condition always
// holds.
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
    std::vector<std::pair<std::string, ArgumentExpressions>> filters;  // of the body
    Flow run(Runtime& runtime) const override;
};

// {% macro name(parameters) %} body {% endmacro %}. The template outlives its rendering.
struct Macro : Statement {
    std::string name;
    std::vector<std::pair<std::string, ExpressionPointer>> parameters;  // a default, or null
    Block body;
    Flow run(Runtime& runtime) const override;

  private:
    Value call(Runtime& runtime, const Arguments& arguments) const;
};

// {% break %} and {% continue %}
struct Jump : Statement {
    Flow flow = Flow::Break;
    Flow run(Runtime&) const override { return flow; }
};

// {% generation %} body {% endgeneration %}, which marks the answer for training: the body.
struct Group : Statement {
    Block body;
    Flow run(Runtime& runtime) const override { return run_block(body, runtime); }
};

}  // namespace vila::data::jinja
