#include "data/text/jinja/arithmetic.h"

#include <algorithm>
#include <cmath>

#include "data/text/jinja/builtins.h"
#include "data/text/jinja/percent_format.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

Value repeated(Runtime& runtime, const Value& value, int64_t count) {
    count = std::max<int64_t>(count, 0);
    const auto size = static_cast<int64_t>(
        value.is_string() ? value.text()->size() : value.list()->size() * Value::kNodeBytes);
    int64_t bytes = 0;
    VILA_CHECK(!__builtin_mul_overflow(size, count, &bytes), "the template makes too much text");
    runtime.take(bytes);
    std::string text;
    List list;
    for (int64_t i = 0; i < count && size > 0; ++i) {
        if (value.is_string()) {
            text += *value.text();
        } else {
            list.insert(list.end(), value.list()->begin(), value.list()->end());
        }
    }
    return value.is_string() ? Value(text) : Value(list, value.list_kind());
}

// Returns whether the value is a list or tuple: other lists have no arithmetic.
bool is_sequence(const Value& value) {
    return value.list() != nullptr &&
           (value.list_kind() == ListKind::List || value.list_kind() == ListKind::Tuple);
}

Value integer_arithmetic(const std::string& operation, int64_t a, int64_t b) {
    int64_t result = 0;
    bool overflows = false;
    if (operation == "+") {
        overflows = __builtin_add_overflow(a, b, &result);
    } else if (operation == "-") {
        overflows = __builtin_sub_overflow(a, b, &result);
    } else if (operation == "*") {
        overflows = __builtin_mul_overflow(a, b, &result);
    } else if (operation == "**") {
        // 0, 1 and -1 never overflow: their powers repeat.
        const int64_t count = a >= -1 && a <= 1 ? std::min<int64_t>(b, 2 - b % 2) : b;
        result = 1;
        for (int64_t i = 0; i < count && !overflows; ++i)
            overflows = __builtin_mul_overflow(result, a, &result);
    } else {  // "//" and "%" round toward minus infinity
        VILA_CHECK(b != 0, "division by zero");
        if (b == -1) {
            overflows = operation == "//" && __builtin_sub_overflow(int64_t{0}, a, &result);
        } else {
            const int64_t quotient = a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
            result = operation == "//" ? quotient : a - quotient * b;
        }
    }
    VILA_CHECK(!overflows, "a number is above 2^63 - 1");
    return result;
}

}  // namespace

Value arithmetic(Runtime& runtime, const std::string& operation, const Value& a, const Value& b) {
    if (operation == "+" && a.is_string() && b.is_string()) {
        runtime.take(static_cast<int64_t>(a.text()->size() + b.text()->size()));
        return *a.text() + *b.text();
    }
    if (operation == "+" && is_sequence(a) && is_sequence(b) && a.list_kind() == b.list_kind()) {
        runtime.take(
            static_cast<int64_t>((a.list()->size() + b.list()->size()) * Value::kNodeBytes));
        List list = *a.list();
        list.insert(list.end(), b.list()->begin(), b.list()->end());
        return {std::move(list), a.list_kind()};
    }
    if (operation == "%" && a.is_string()) return percent_formatted(runtime, *a.text(), b);
    const auto repeats = [](const Value& value) { return value.is_string() || is_sequence(value); };
    if (operation == "*" && repeats(a) && b.is_integer())
        return repeated(runtime, a, b.as_integer(""));
    if (operation == "*" && repeats(b) && a.is_integer())
        return repeated(runtime, b, a.as_integer(""));
    VILA_CHECK(a.is_number() && b.is_number(), "cannot compute ", a.type_name(), " ", operation,
               " ", b.type_name());
    const bool stays_integer = !a.is_float() && !b.is_float() && operation != "/";
    if (stays_integer && !(operation == "**" && b.as_integer("") < 0))
        return integer_arithmetic(operation, a.as_integer(""), b.as_integer(""));
    const double x = a.as_double(""), y = b.as_double("");
    if (operation == "+") return x + y;
    if (operation == "-") return x - y;
    if (operation == "*") return x * y;
    if (operation == "**") {
        VILA_CHECK(x != 0.0 || y >= 0.0, "division by zero");
        VILA_CHECK(x >= 0.0 || y == std::floor(y), "a power is not a real number");
        return std::pow(x, y);
    }
    VILA_CHECK(y != 0.0, "division by zero");
    if (operation == "/") return x / y;
    // As Python computes them: the remainder is exact and has the sign of y.
    double remainder = std::fmod(x, y);
    if (remainder != 0.0 && (remainder < 0.0) != (y < 0.0)) remainder += y;
    return operation == "%" ? remainder : std::round((x - remainder) / y);
}

namespace {

bool contains(const Value& container, const Value& element) {
    if (const std::string* text = container.text())
        return text->find(element.as_text("in <string>")) != std::string::npos;
    if (const Dict* dict = container.dict()) return find(*dict, element) != nullptr;
    if (const List* list = container.list())
        return std::find(list->begin(), list->end(), element) != list->end();
    if (container.is_undefined()) return false;
    throw Error(str("'in' cannot look into ", container.type_name()));
}

}  // namespace

bool compare(Runtime& runtime, const std::string& operation, const Value& a, const Value& b) {
    const bool searches = operation == "in" || operation == "not in";
    const int64_t text_cost =
        a.is_string() && b.is_string() ? search_cost(*b.text(), *a.text()) : 0;
    runtime.step(searches ? b.bytes() + text_cost : std::min(a.bytes(), b.bytes()));
    if (operation == "==") return a == b;
    if (operation == "!=") return !(a == b);
    if (operation == "in") return contains(b, a);
    if (operation == "not in") return !contains(b, a);
    if (operation == "<") return a.less(b);
    if (operation == ">") return b.less(a);
    if (operation == "<=") return a.less(b) || a == b;
    return b.less(a) || a == b;
}

}  // namespace vila::data::jinja
