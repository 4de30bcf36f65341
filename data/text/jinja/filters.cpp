// The filters of texts and numbers, and the table of all filters.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "data/text/jinja/builtins.h"
#include "data/text/jinja/list_filters.h"
#include "data/text/jinja/percent_format.h"
#include "data/text/jinja/text_methods.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

// Calls a method of str with the value and the arguments as text.
Value with_method(Runtime& runtime, std::string_view name, const Value& value,
                  const Arguments& arguments) {
    return call_text_method(runtime, name, runtime.text_of(value), arguments);
}

Value replaced(Runtime& runtime, const Value& value, Arguments arguments) {
    for (size_t i = 0; i < 2 && i < arguments.positional.size(); ++i)
        arguments.positional[i] = runtime.text_of(arguments.positional[i]);
    return with_method(runtime, "replace", value, arguments);
}

Value titled(Runtime& runtime, const Value& value) {
    runtime.take(3 * value.bytes());
    return titled_words(runtime.text_of(value));
}

// Parses a whole text as a number; returns whether it is one.
template <typename Number>
bool parse_number(Runtime& runtime, const std::string& text, Number& number) {
    const Value stripped = call_text_method(runtime, "strip", text, {});
    std::string_view digits = *stripped.text();
    if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
    const char* end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, number);
    return parsed.ec == std::errc() && parsed.ptr == end;
}

int64_t truncated(double number) {
    VILA_CHECK(std::fabs(number) < 0x1p63, "a number is above 2^63 - 1");
    return static_cast<int64_t>(number);
}

Value to_integer(Runtime& runtime, const Value& value, const Arguments& arguments) {
    VILA_CHECK(!value.is_undefined(), value.missing_name(), " is undefined");
    const Value* given = arguments.find(0, "default");
    const Value* base = arguments.find(1, "base");
    const Value otherwise = given == nullptr ? Value(int64_t{0}) : *given;
    VILA_CHECK(base == nullptr || base->as_integer("int") == 10,
               "int: a base other than 10 is not implemented");
    if (value.is_float())
        return std::isnan(value.as_double("")) ? otherwise : truncated(value.as_double(""));
    if (value.is_number()) return value.as_integer("");
    if (!value.is_string()) return otherwise;
    int64_t integer = 0;
    if (parse_number(runtime, *value.text(), integer)) return integer;
    double number = 0.0;
    const bool is_number = parse_number(runtime, *value.text(), number) && std::isfinite(number);
    return is_number ? Value(truncated(number)) : otherwise;
}

Value to_float(Runtime& runtime, const Value& value, const Arguments& arguments) {
    VILA_CHECK(!value.is_undefined(), value.missing_name(), " is undefined");
    if (value.is_number()) return value.as_double("");
    double number = 0.0;
    if (value.is_string() && parse_number(runtime, *value.text(), number)) return number;
    const Value* otherwise = arguments.find(0, "default");
    return otherwise == nullptr ? Value(0.0) : *otherwise;
}

Value absolute(const Value& value) {
    if (value.is_float()) return std::fabs(value.as_double(""));
    const int64_t number = value.as_integer("abs");
    VILA_CHECK(number != std::numeric_limits<int64_t>::min(), "a number is above 2^63 - 1");
    return std::abs(number);
}

Value rounded(const Value& value, const Arguments& arguments) {
    const Value *precision = arguments.find(0, "precision"), *method = arguments.find(1, "method");
    const int64_t digits = precision == nullptr ? 0 : precision->as_integer("round");
    const std::string how = method == nullptr ? "common" : method->as_text("round");
    VILA_CHECK(how == "common" || how == "ceil" || how == "floor",
               "round: expected the method common, ceil or floor, got ", how);
    VILA_CHECK(digits >= 0 && digits <= 300, "round: expected a precision from 0 to 300");
    const double number = value.as_double("round");
    if (how != "common") {
        const double scale = std::pow(10.0, static_cast<double>(digits));
        return (how == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale;
    }
    if (!value.is_float()) return value.as_integer("");
    if (!std::isfinite(number)) return number;
    // The decimal text is rounded exactly, as in Python.
    char text[700];
    const char* end = std::to_chars(text, text + sizeof(text), number, std::chars_format::fixed,
                                    static_cast<int>(digits))
                          .ptr;
    double result = 0.0;
    std::from_chars(text, end, result);
    return result;
}

Value indented(Runtime& runtime, const std::string& text, const Arguments& arguments) {
    const Value *width = arguments.find(0, "width"), *first = arguments.find(1, "first"),
                *blank = arguments.find(2, "blank");
    const bool fills_blank = blank != nullptr && blank->is_true();
    std::string margin(4, ' ');
    if (width != nullptr && width->is_string())
        margin = *width->text();
    else if (width != nullptr)
        margin.assign(
            static_cast<size_t>(std::clamp<int64_t>(width->as_integer("indent"), 0, 1000)), ' ');
    std::string out;
    if (first != nullptr && first->is_true()) runtime.append(out, margin);
    for (size_t i = 0; i < text.size(); ++i) {
        runtime.append(out, std::string_view(text).substr(i, 1));
        if (text[i] != '\n') continue;
        const bool line_is_blank = i + 1 == text.size() || text[i + 1] == '\n';
        if (!line_is_blank || fills_blank) runtime.append(out, margin);
    }
    return out;
}

Value escaped(Runtime& runtime, const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        runtime.append(out, c == '&'    ? "&amp;"
                            : c == '<'  ? "&lt;"
                            : c == '>'  ? "&gt;"
                            : c == '\'' ? "&#39;"
                            : c == '"'  ? "&#34;"
                                        : std::string_view(text).substr(i, 1));
    }
    return out;
}

Value with_default(const Value& value, const Arguments& arguments) {
    const Value *given = arguments.find(0, "default_value"), *also = arguments.find(1, "boolean");
    const bool replaces_false = also != nullptr && also->is_true();
    if (!value.is_undefined() && !(replaces_false && !value.is_true())) return value;
    return given == nullptr ? Value("") : *given;
}

Value items(Runtime& runtime, const Value& value) {
    if (value.is_undefined()) return List{};
    VILA_CHECK(value.dict() != nullptr, "items: expected dict, got ", value.type_name());
    return method(runtime, value, "items").callable()->call({});
}

Value with_format(Runtime& runtime, const Value& value, const Arguments& arguments) {
    VILA_CHECK(arguments.positional.empty() || arguments.keywords.empty(),
               "format: expected positional arguments or names, not both");
    return percent_formatted(runtime, runtime.text_of(value),
                             arguments.keywords.empty()
                                 ? Value(arguments.positional, ListKind::Tuple)
                                 : Value(arguments.keywords));
}

Value json(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value *ascii = arguments.find(0, "ensure_ascii"), *indent = arguments.find(1, "indent"),
                *separators = arguments.find(2, "separators"),
                *sorts = arguments.find(3, "sort_keys");
    JsonStyle style;
    style.ensure_ascii = ascii != nullptr && ascii->is_true();
    style.sort_keys = sorts != nullptr && sorts->is_true();
    if (indent != nullptr && !indent->is_none()) {
        style.indent = std::max<int64_t>(0, indent->as_integer("tojson"));
        style.item_separator = ",";
    }
    if (separators != nullptr && !separators->is_none()) {
        VILA_CHECK(separators->list() != nullptr && separators->list()->size() == 2,
                   "tojson: expected two separators");
        style.item_separator = separators->list()->front().as_text("tojson");
        style.key_separator = separators->list()->back().as_text("tojson");
    }
    return to_json_text(runtime, value, style);
}

struct NamedFilter {
    std::string_view name;
    size_t most_arguments;
    Value (*call)(Runtime&, const Value&, const Arguments&);
};

constexpr size_t kAny = std::numeric_limits<size_t>::max();

using R = Runtime;
using V = const Value;
using A = const Arguments;

constexpr NamedFilter kFilters[] = {
    {"trim", 1, [](R& r, V& v, A& a) { return with_method(r, "strip", v, a); }},
    {"upper", 0, [](R& r, V& v, A& a) { return with_method(r, "upper", v, a); }},
    {"lower", 0, [](R& r, V& v, A& a) { return with_method(r, "lower", v, a); }},
    {"capitalize", 0, [](R& r, V& v, A& a) { return with_method(r, "capitalize", v, a); }},
    {"title", 0, [](R& r, V& v, A&) { return titled(r, v); }},
    {"replace", 3, [](R& r, V& v, A& a) { return replaced(r, v, a); }},
    {"indent", 3, [](R& r, V& v, A& a) { return indented(r, r.text_of(v), a); }},
    {"escape", 0, [](R& r, V& v, A&) { return escaped(r, r.text_of(v)); }},
    {"e", 0, [](R& r, V& v, A&) { return escaped(r, r.text_of(v)); }},
    {"safe", 0, [](R&, V& v, A&) { return v; }},
    {"string", 0, [](R& r, V& v, A&) { return v.is_string() ? v : Value(r.text_of(v)); }},
    {"format", kAny, with_format},
    {"tojson", 4, json},
    {"int", 2, to_integer},
    {"float", 1, to_float},
    {"abs", 0, [](R&, V& v, A&) { return absolute(v); }},
    {"round", 2, [](R&, V& v, A& a) { return rounded(v, a); }},
    {"default", 2, [](R&, V& v, A& a) { return with_default(v, a); }},
    {"d", 2, [](R&, V& v, A& a) { return with_default(v, a); }},
    {"length", 0, [](R&, V& v, A&) { return length_of(v); }},
    {"count", 0, [](R&, V& v, A&) { return length_of(v); }},
    {"first", 0, [](R& r, V& v, A&) { return element_at(r, v, 0); }},
    {"last", 0, [](R& r, V& v, A&) { return element_at(r, v, -1); }},
    {"list", 0, [](R& r, V& v, A&) { return Value(r.elements(v)); }},
    {"reverse", 0, [](R& r, V& v, A&) { return reversed(r, v); }},
    {"min", 2, [](R& r, V& v, A& a) { return extreme(r, v, a, false); }},
    {"max", 2, [](R& r, V& v, A& a) { return extreme(r, v, a, true); }},
    {"join", 2, joined},
    {"sum", 2, sum},
    {"map", kAny, mapped},
    {"select", kAny, [](R& r, V& v, A& a) { return selected(r, v, a, false, true); }},
    {"reject", kAny, [](R& r, V& v, A& a) { return selected(r, v, a, false, false); }},
    {"selectattr", kAny, [](R& r, V& v, A& a) { return selected(r, v, a, true, true); }},
    {"rejectattr", kAny, [](R& r, V& v, A& a) { return selected(r, v, a, true, false); }},
    {"sort", 3, sorted},
    {"unique", 2, unique},
    {"items", 0, [](R& r, V& v, A&) { return items(r, v); }},
    {"dictsort", 3, sorted_dict},
};

}  // namespace

Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   const Arguments& arguments) {
    if (value.is_string()) runtime.step(value.bytes());
    for (const NamedFilter& filter : kFilters) {
        if (filter.name != name) continue;
        VILA_CHECK(arguments.positional.size() + arguments.keywords.size() <= filter.most_arguments,
                   "the filter ", name, " takes at most ", filter.most_arguments, " arguments");
        return filter.call(runtime, value, arguments);
    }
    throw Error(str("the filter ", name, " is not implemented"));
}

}  // namespace vila::data::jinja
