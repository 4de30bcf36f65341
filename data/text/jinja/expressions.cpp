#include "data/text/jinja/expressions.h"

#include <algorithm>
#include <utility>

#include "data/text/jinja/arithmetic.h"
#include "data/text/jinja/builtins.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

constexpr int kMaxDepth = 200;

// Sets the depth of a new node from those of its children; null children count nothing.
template <typename Node, typename... Children>
ExpressionPointer finished(std::unique_ptr<Node> node, const Children&... children) {
    ((node->depth = std::max(node->depth, (children == nullptr ? 0 : children->depth) + 1)), ...);
    VILA_CHECK(node->depth <= kMaxDepth, "an expression is nested more than ", kMaxDepth,
               " levels deep");
    return node;
}

struct Constant : Expression {
    Value value;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        return value;
    }
};

struct Name : Expression {
    std::string name;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        return runtime.lookup(name);
    }
};

struct ListExpression : Expression {
    std::vector<ExpressionPointer> elements;

    Value evaluate(Runtime& runtime) const override {
        runtime.take(static_cast<int64_t>(elements.size() * sizeof(Value)));
        List list;
        for (const auto& element : elements) list.push_back(element->evaluate(runtime));
        return list;
    }
};

Value checked_key(const Value& key) {
    VILA_CHECK(key.is_string() || key.is_number() || key.is_none(),
               "a dict cannot have a key of type ", key.type_name());
    return key;
}

struct DictExpression : Expression {
    std::vector<std::pair<ExpressionPointer, ExpressionPointer>> members;

    Value evaluate(Runtime& runtime) const override {
        runtime.take(static_cast<int64_t>(members.size() * sizeof(Dict::value_type)));
        Dict dict;
        for (const auto& [key, value] : members)
            assign(dict, checked_key(key->evaluate(runtime)), value->evaluate(runtime));
        return dict;
    }
};

struct AttributeExpression : Expression {
    ExpressionPointer object;
    std::string name;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        return attribute(runtime, object->evaluate(runtime), name);
    }
};

struct SubscriptExpression : Expression {
    ExpressionPointer object, key;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        const Value value = object->evaluate(runtime);
        return subscript(runtime, value, key->evaluate(runtime));
    }
};

struct SliceExpression : Expression {
    ExpressionPointer object, start, stop, step;

    Value evaluate(Runtime& runtime) const override {
        const auto index = [&](const ExpressionPointer& one) {
            return one ? one->evaluate(runtime) : Value();
        };
        runtime.step();
        const Value value = object->evaluate(runtime);
        return slice(runtime, value, index(start), index(stop), index(step));
    }
};

struct Call : Expression {
    ExpressionPointer function;
    ArgumentExpressions arguments;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        const Value value = function->evaluate(runtime);
        VILA_CHECK(!value.is_undefined(), std::get<Undefined>(value.storage()).name,
                   " is undefined and cannot be called");
        VILA_CHECK(value.callable() != nullptr, value.type_name(), " cannot be called");
        return value.callable()->call(arguments.evaluate(runtime));
    }
};

struct Filter : Expression {
    ExpressionPointer value;
    std::string name;
    ArgumentExpressions arguments;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        const Value operand = value->evaluate(runtime);
        return apply_filter(runtime, name, operand, arguments.evaluate(runtime));
    }
};

struct Test : Expression {
    ExpressionPointer value;
    std::string name;
    ArgumentExpressions arguments;
    bool negated = false;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        const Value operand = value->evaluate(runtime);
        return apply_test(runtime, name, operand, arguments.evaluate(runtime)) != negated;
    }
};

struct Unary : Expression {
    std::string operation;
    ExpressionPointer operand;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        const Value value = operand->evaluate(runtime);
        if (operation == "not") return !value.is_true();
        if (value.is_float()) return operation == "-" ? -value.as_double("") : value.as_double("");
        const int64_t number = value.as_integer("unary " + operation);
        int64_t result = number;
        if (operation == "-")
            VILA_CHECK(!__builtin_sub_overflow(int64_t{0}, number, &result),
                       "a number is above 2^63 - 1");
        return result;
    }
};

struct Binary : Expression {
    std::string operation;
    ExpressionPointer left, right;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        const Value a = left->evaluate(runtime);
        if (operation == "and") return a.is_true() ? right->evaluate(runtime) : a;
        if (operation == "or") return a.is_true() ? a : right->evaluate(runtime);
        const Value b = right->evaluate(runtime);
        for (const Value* value : {&a, &b})
            VILA_CHECK(operation == "~" || !value->is_undefined(),
                       std::get<Undefined>(value->storage()).name, " is undefined");
        if (operation != "~") return arithmetic(runtime, operation, a, b);
        std::string text = a.to_string() + b.to_string();
        runtime.take(static_cast<int64_t>(text.size()));
        return text;
    }
};

struct Comparison : Expression {
    ExpressionPointer first;
    std::vector<std::pair<std::string, ExpressionPointer>> rest;

    Value evaluate(Runtime& runtime) const override {
        Value left = first->evaluate(runtime);
        for (const auto& [operation, expression] : rest) {
            runtime.step();
            Value right = expression->evaluate(runtime);
            if (!compare(operation, left, right)) return false;
            left = std::move(right);
        }
        return true;
    }
};

struct Conditional : Expression {
    ExpressionPointer condition, then, otherwise;

    Value evaluate(Runtime& runtime) const override {
        runtime.step();
        if (condition->evaluate(runtime).is_true()) return then->evaluate(runtime);
        return otherwise ? otherwise->evaluate(runtime)
                         : Value(Undefined{"the value of an if without else"});
    }
};

}  // namespace

Arguments ArgumentExpressions::evaluate(Runtime& runtime) const {
    Arguments arguments;
    for (const auto& one : positional) arguments.positional.push_back(one->evaluate(runtime));
    for (const auto& [name, one] : keywords)
        arguments.keywords.emplace_back(name, one->evaluate(runtime));
    return arguments;
}

int ArgumentExpressions::depth() const {
    int depth = 0;
    for (const auto& one : positional) depth = std::max(depth, one->depth);
    for (const auto& [name, one] : keywords) depth = std::max(depth, one->depth);
    return depth;
}

ExpressionPointer make_constant(Value value) {
    auto node = std::make_unique<Constant>();
    node->value = std::move(value);
    return node;
}

ExpressionPointer make_name(std::string name) {
    auto node = std::make_unique<Name>();
    node->name = std::move(name);
    return node;
}

ExpressionPointer make_list(std::vector<ExpressionPointer> elements) {
    auto node = std::make_unique<ListExpression>();
    for (const auto& element : elements) node->depth = std::max(node->depth, element->depth + 1);
    node->elements = std::move(elements);
    return finished(std::move(node));
}

ExpressionPointer make_dict(std::vector<std::pair<ExpressionPointer, ExpressionPointer>> members) {
    auto node = std::make_unique<DictExpression>();
    for (const auto& [key, value] : members)
        node->depth = std::max(node->depth, std::max(key->depth, value->depth) + 1);
    node->members = std::move(members);
    return finished(std::move(node));
}

ExpressionPointer make_attribute(ExpressionPointer object, std::string name) {
    auto node = std::make_unique<AttributeExpression>();
    node->object = std::move(object);
    node->name = std::move(name);
    const Expression* child = node->object.get();
    return finished(std::move(node), child);
}

ExpressionPointer make_subscript(ExpressionPointer object, ExpressionPointer key) {
    auto node = std::make_unique<SubscriptExpression>();
    node->object = std::move(object);
    node->key = std::move(key);
    const Expression *first = node->object.get(), *second = node->key.get();
    return finished(std::move(node), first, second);
}

ExpressionPointer make_slice(ExpressionPointer object, ExpressionPointer start,
                             ExpressionPointer stop, ExpressionPointer step) {
    auto node = std::make_unique<SliceExpression>();
    const Expression *a = object.get(), *b = start.get(), *c = stop.get(), *d = step.get();
    node->object = std::move(object);
    node->start = std::move(start);
    node->stop = std::move(stop);
    node->step = std::move(step);
    return finished(std::move(node), a, b, c, d);
}

ExpressionPointer make_call(ExpressionPointer function, ArgumentExpressions arguments) {
    auto node = std::make_unique<Call>();
    const Expression* child = function.get();
    node->depth = arguments.depth() + 1;
    node->function = std::move(function);
    node->arguments = std::move(arguments);
    return finished(std::move(node), child);
}

ExpressionPointer make_filter(ExpressionPointer value, std::string name,
                              ArgumentExpressions arguments) {
    auto node = std::make_unique<Filter>();
    const Expression* child = value.get();
    node->depth = arguments.depth() + 1;
    node->value = std::move(value);
    node->name = std::move(name);
    node->arguments = std::move(arguments);
    return finished(std::move(node), child);
}

ExpressionPointer make_test(ExpressionPointer value, std::string name,
                            ArgumentExpressions arguments, bool negated) {
    auto node = std::make_unique<Test>();
    const Expression* child = value.get();
    node->depth = arguments.depth() + 1;
    node->value = std::move(value);
    node->name = std::move(name);
    node->arguments = std::move(arguments);
    node->negated = negated;
    return finished(std::move(node), child);
}

ExpressionPointer make_unary(std::string operation, ExpressionPointer operand) {
    auto node = std::make_unique<Unary>();
    const Expression* child = operand.get();
    node->operation = std::move(operation);
    node->operand = std::move(operand);
    return finished(std::move(node), child);
}

ExpressionPointer make_binary(std::string operation, ExpressionPointer left,
                              ExpressionPointer right) {
    auto node = std::make_unique<Binary>();
    const Expression *a = left.get(), *b = right.get();
    node->operation = std::move(operation);
    node->left = std::move(left);
    node->right = std::move(right);
    return finished(std::move(node), a, b);
}

ExpressionPointer make_comparison(ExpressionPointer first,
                                  std::vector<std::pair<std::string, ExpressionPointer>> rest) {
    auto node = std::make_unique<Comparison>();
    const Expression* child = first.get();
    for (const auto& [operation, expression] : rest)
        node->depth = std::max(node->depth, expression->depth + 1);
    node->first = std::move(first);
    node->rest = std::move(rest);
    return finished(std::move(node), child);
}

ExpressionPointer make_conditional(ExpressionPointer condition, ExpressionPointer then,
                                   ExpressionPointer otherwise) {
    auto node = std::make_unique<Conditional>();
    const Expression *a = condition.get(), *b = then.get(), *c = otherwise.get();
    node->condition = std::move(condition);
    node->then = std::move(then);
    node->otherwise = std::move(otherwise);
    return finished(std::move(node), a, b, c);
}

}  // namespace vila::data::jinja
