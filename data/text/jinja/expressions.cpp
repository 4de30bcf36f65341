#include "data/text/jinja/expressions.h"

#include "data/text/jinja/arithmetic.h"
#include "data/text/jinja/builtins.h"

namespace vila::data::jinja {

Arguments ArgumentExpressions::evaluate(Runtime& runtime) const {
    Arguments arguments;
    for (const auto& one : positional) arguments.positional.push_back(one->evaluate(runtime));
    for (const auto& [name, one] : keywords)
        arguments.keywords.emplace_back(name, one->evaluate(runtime));
    return arguments;
}

Value ListDisplay::evaluate(Runtime& runtime) const {
    runtime.take(static_cast<int64_t>(elements.size()) * Value::kNodeBytes);
    List list;
    for (const auto& element : elements) list.push_back(element->evaluate(runtime));
    return {std::move(list), kind};
}

Value DictDisplay::evaluate(Runtime& runtime) const {
    runtime.take(static_cast<int64_t>(members.size()) * 2 * Value::kNodeBytes);
    Dict dict;
    for (const auto& [key_expression, value] : members) {
        const Value key = key_expression->evaluate(runtime);
        VILA_CHECK(key.is_string() || key.is_number() || key.is_none(),
                   "a dict cannot have a key of type ", key.type_name());
        runtime.step(lookup_cost(dict, key));
        assign(dict, key, value->evaluate(runtime));
    }
    return dict;
}

Value AttributeOf::evaluate(Runtime& runtime) const {
    return attribute(runtime, object->evaluate(runtime), name);
}

Value ElementOf::evaluate(Runtime& runtime) const {
    const Value value = object->evaluate(runtime);
    return subscript(runtime, value, key->evaluate(runtime));
}

Value SliceOf::evaluate(Runtime& runtime) const {
    const auto index = [&](const ExpressionPointer& one) {
        return one ? one->evaluate(runtime) : Value();
    };
    const Value value = object->evaluate(runtime), from = index(start), to = index(stop);
    return slice(runtime, value, from, to, index(step));
}

Value Call::evaluate(Runtime& runtime) const {
    const Value value = function->evaluate(runtime);
    VILA_CHECK(!value.is_undefined(), value.missing_name(), " is undefined and cannot be called");
    VILA_CHECK(value.callable() != nullptr, value.type_name(), " cannot be called");
    return value.callable()->call(arguments.evaluate(runtime));
}

Value Filter::evaluate(Runtime& runtime) const {
    const Value operand = value->evaluate(runtime);
    return apply_filter(runtime, name, operand, arguments.evaluate(runtime));
}

Value Test::evaluate(Runtime& runtime) const {
    const Value operand = value->evaluate(runtime);
    return apply_test(runtime, name, operand, arguments.evaluate(runtime)) != negated;
}

Value Unary::evaluate(Runtime& runtime) const {
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

Value Binary::evaluate(Runtime& runtime) const {
    const Value a = left->evaluate(runtime);
    if (operation == "and") return a.is_true() ? right->evaluate(runtime) : a;
    if (operation == "or") return a.is_true() ? a : right->evaluate(runtime);
    const Value b = right->evaluate(runtime);
    if (operation == "~") {
        std::string text = runtime.text_of(a);
        text += runtime.text_of(b);
        return text;
    }
    const bool formats = operation == "%" && a.is_string();  // a missing value prints as nothing
    for (const Value* value : {&a, &b})
        VILA_CHECK(formats || !value->is_undefined(), value->missing_name(), " is undefined");
    return arithmetic(runtime, operation, a, b);
}

Value Comparison::evaluate(Runtime& runtime) const {
    Value left = first->evaluate(runtime);
    for (const auto& [operation, expression] : rest) {
        Value right = expression->evaluate(runtime);
        if (!compare(runtime, operation, left, right)) return false;
        left = std::move(right);
    }
    return true;
}

Value Conditional::evaluate(Runtime& runtime) const {
    if (condition->evaluate(runtime).is_true()) return then->evaluate(runtime);
    return otherwise ? otherwise->evaluate(runtime)
                     : Value(Undefined{"the value of an if without else"});
}

}  // namespace vila::data::jinja
