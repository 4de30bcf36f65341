// The tests of "x is defined" and the like.

#include <string_view>
#include <utility>

#include "data/text/jinja/arithmetic.h"
#include "data/text/jinja/builtins.h"
#include "data/text/jinja/text_methods.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

bool is_container(const Value& value) {
    return value.is_string() || value.list() != nullptr || value.dict() != nullptr ||
           value.is_undefined();
}

// Tests of a value alone.
constexpr std::pair<std::string_view, bool (*)(const Value&)> kTests[] = {
    {"defined", [](const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v) { return v.is_undefined(); }},
    {"none", [](const Value& v) { return v.is_none(); }},
    {"string", [](const Value& v) { return v.is_string(); }},
    {"mapping", [](const Value& v) { return v.dict() != nullptr; }},
    {"sequence", is_container},
    {"iterable", is_container},
    {"number", [](const Value& v) { return v.is_number(); }},
    {"integer", [](const Value& v) { return v.is_integer(); }},
    {"float", [](const Value& v) { return v.is_float(); }},
    {"boolean", [](const Value& v) { return v.is_bool(); }},
    {"true", [](const Value& v) { return v.is_bool() && v.is_true(); }},
    {"false", [](const Value& v) { return v.is_bool() && !v.is_true(); }},
    {"callable", [](const Value& v) { return v.callable() != nullptr || v.is_undefined(); }},
    {"odd", [](const Value& v) { return v.as_integer("odd") % 2 != 0; }},
    {"even", [](const Value& v) { return v.as_integer("even") % 2 == 0; }},
};

// Tests that compare a value with an argument, and the operation that each performs.
constexpr std::pair<std::string_view, std::string_view> kComparisons[] = {
    {"eq", "=="}, {"equalto", "=="},    {"==", "=="},      {"ne", "!="},
    {"!=", "!="}, {"lt", "<"},          {"lessthan", "<"}, {"<", "<"},
    {"gt", ">"},  {"greaterthan", ">"}, {">", ">"},        {"le", "<="},
    {"<=", "<="}, {"ge", ">="},         {">=", ">="},      {"in", "in"},
};

const Value& operand(const Arguments& arguments, const std::string& test) {
    VILA_CHECK(!arguments.positional.empty(), "the test ", test, " takes an argument");
    return arguments.positional[0];
}

// Python's islower() and isupper(): true if there are letters and all have this case.
bool is_in_case(Runtime& runtime, const Value& value, const std::string& name) {
    const std::string text = runtime.text_of(value);
    const auto equals = [&](const char* method) {
        return *call_text_method(runtime, method, text, {}).text() == text;
    };
    return equals("lower") != equals("upper") && equals(name.c_str());
}

}  // namespace

bool apply_test(Runtime& runtime, const std::string& name, const Value& value,
                const Arguments& arguments) {
    runtime.step();
    for (const auto& [known, holds] : kTests)
        if (known == name) return holds(value);
    for (const auto& [known, operation] : kComparisons)
        if (known == name)
            return compare(runtime, std::string(operation), value, operand(arguments, name));
    if (name == "lower" || name == "upper") return is_in_case(runtime, value, name);
    if (name == "sameas") {
        const Value& other = operand(arguments, name);
        return value.type_name() == other.type_name() && compare(runtime, "==", value, other);
    }
    if (name == "divisibleby") {
        const int64_t divisor = operand(arguments, name).as_integer(name);
        VILA_CHECK(divisor != 0, "division by zero");
        return divisor == -1 || value.as_integer(name) % divisor == 0;
    }
    throw Error(str("the test ", name, " is not implemented"));
}

}  // namespace vila::data::jinja
