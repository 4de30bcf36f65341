// Filters: "x | trim" and the like.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "data/text/jinja/builtins.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

Value call_method(Runtime& runtime, const Value& value, const std::string& name,
                  const Arguments& arguments) {
    return method(runtime, Value(value.to_string()), name).callable()->call(arguments);
}

int64_t length_of(const Value& value) {
    if (value.is_string()) return static_cast<int64_t>(characters(*value.text()).size());
    if (value.dict() != nullptr) return static_cast<int64_t>(value.dict()->size());
    VILA_CHECK(value.list() != nullptr || value.is_undefined(),
               "length: expected a str or list, got ", value.type_name());
    return value.is_undefined() ? 0 : static_cast<int64_t>(value.list()->size());
}

// The member that "a.b.0" names.
Value member_at(Runtime& runtime, Value value, const std::string& path) {
    size_t begin = 0;
    while (begin <= path.size()) {
        const size_t end = std::min(path.find('.', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        int64_t index = 0;
        const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
        const bool is_index = parsed.ec == std::errc() && parsed.ptr == part.data() + part.size();
        if (value.is_undefined()) return value;
        value = subscript(runtime, value, is_index ? Value(index) : Value(part));
        begin = end + 1;
    }
    return value;
}

const std::string& name_argument(const Arguments& arguments, size_t position, const char* filter) {
    VILA_CHECK(position < arguments.positional.size(), filter, ": a name is missing");
    return arguments.positional[position].as_text(filter);
}

Arguments rest_of(const Arguments& arguments, size_t from) {
    Arguments rest{{}, arguments.keywords};
    for (size_t i = from; i < arguments.positional.size(); ++i)
        rest.positional.push_back(arguments.positional[i]);
    return rest;
}

// select, reject, selectattr, rejectattr.
Value selected(Runtime& runtime, const Value& value, const Arguments& arguments, bool by_member,
               bool wanted) {
    const size_t test_at = by_member ? 1 : 0;
    const std::string member = by_member ? name_argument(arguments, 0, "selectattr") : "";
    List out;
    if (!value.is_true()) return out;  // None, too
    for (const Value& element : value.elements()) {
        runtime.step();
        const Value tested = by_member ? member_at(runtime, element, member) : element;
        const bool holds = test_at < arguments.positional.size()
                               ? apply_test(runtime, name_argument(arguments, test_at, "select"),
                                            tested, rest_of(arguments, test_at + 1))
                               : tested.is_true();
        if (holds == wanted) out.push_back(element);
    }
    return out;
}

Value mapped(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value* member = find(arguments.keywords, "attribute");
    const Value* otherwise = find(arguments.keywords, "default");
    List out;
    if (!value.is_true()) return out;  // None, too
    for (const Value& element : value.elements()) {
        runtime.step();
        if (member != nullptr) {
            Value found = member_at(runtime, element, member->to_string());
            out.push_back(found.is_undefined() && otherwise != nullptr ? *otherwise : found);
        } else {
            out.push_back(apply_filter(runtime, name_argument(arguments, 0, "map"), element,
                                       rest_of(arguments, 1)));
        }
    }
    return out;
}

Value joined(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value* separator = arguments.find(0, "d");
    const Value* member = arguments.find(1, "attribute");
    std::string out;
    bool first = true;
    for (const Value& element : value.elements()) {
        runtime.step();
        if (!first && separator != nullptr) out += separator->to_string();
        out += member == nullptr ? element.to_string()
                                 : member_at(runtime, element, member->to_string()).to_string();
        runtime.take(static_cast<int64_t>(element.is_string() ? element.text()->size() : 8));
        first = false;
    }
    return out;
}

Value sorted(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value* reverse = arguments.find(0, "reverse");
    const Value* member = find(arguments.keywords, "attribute");
    List list = value.elements();
    runtime.take(static_cast<int64_t>(list.size() * sizeof(Value)));
    const auto key = [&](const Value& element) {
        return member == nullptr ? element : member_at(runtime, element, member->to_string());
    };
    // Without letters' case, as Jinja sorts.
    const auto folded = [&](const Value& element) {
        return element.is_string() ? call_method(runtime, element, "lower", {}) : element;
    };
    std::stable_sort(list.begin(), list.end(), [&](const Value& a, const Value& b) {
        runtime.step();
        return folded(key(a)).less(folded(key(b)));
    });
    if (reverse != nullptr && reverse->is_true()) std::reverse(list.begin(), list.end());
    return list;
}

Value unique(Runtime& runtime, const Value& value) {
    List out;
    for (const Value& element : value.elements()) {
        runtime.step();
        runtime.take(static_cast<int64_t>(out.size()));
        if (std::find(out.begin(), out.end(), element) == out.end()) out.push_back(element);
    }
    return out;
}

Value to_integer(const Value& value, const Arguments& arguments) {
    const Value* otherwise = arguments.find(0, "default");
    if (value.is_float()) return static_cast<int64_t>(value.as_double(""));
    if (value.is_number()) return value.as_integer("");
    if (const std::string* text = value.text()) {
        int64_t number = 0;
        const auto parsed = std::from_chars(text->data(), text->data() + text->size(), number);
        if (parsed.ec == std::errc() && parsed.ptr == text->data() + text->size()) return number;
    }
    return otherwise == nullptr ? Value(int64_t{0}) : *otherwise;
}

Value to_float(const Value& value, const Arguments& arguments) {
    const Value* otherwise = arguments.find(0, "default");
    if (value.is_number()) return value.as_double("");
    if (const std::string* text = value.text()) {
        double number = 0.0;
        const auto parsed = std::from_chars(text->data(), text->data() + text->size(), number);
        if (parsed.ec == std::errc() && parsed.ptr == text->data() + text->size()) return number;
    }
    return otherwise == nullptr ? Value(0.0) : *otherwise;
}

std::string indented(const std::string& text, const Arguments& arguments) {
    const Value *width = arguments.find(0, "width"), *first = arguments.find(1, "first"),
                *blank = arguments.find(2, "blank");
    std::string margin(4, ' ');
    if (width != nullptr)
        margin = width->is_string() ? *width->text()
                                    : std::string(static_cast<size_t>(std::clamp<int64_t>(
                                                      width->as_integer("indent"), 0, 1000)),
                                                  ' ');
    std::string out = first != nullptr && first->is_true() ? margin : "";
    for (size_t i = 0; i < text.size(); ++i) {
        out += text[i];
        const bool next_is_blank = i + 1 < text.size() && text[i + 1] == '\n';
        if (text[i] == '\n' && (!next_is_blank || (blank != nullptr && blank->is_true()))) {
            if (i + 1 < text.size() || (blank != nullptr && blank->is_true())) out += margin;
        }
    }
    return out;
}

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        const char* entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : nullptr;
        if (entity != nullptr) {
            out += entity;
        } else {
            out += c;
        }
    }
    return out;
}

Value extreme(const Value& value, bool largest) {
    const List list = value.elements();
    if (list.empty()) return Undefined{"an element of an empty list"};
    return *std::min_element(list.begin(), list.end(), [&](const Value& a, const Value& b) {
        return largest ? b.less(a) : a.less(b);
    });
}

Value rounded(const Value& value, const Arguments& arguments) {
    const Value* digits = arguments.find(0, "precision");
    const double scale =
        std::pow(10.0, static_cast<double>(digits == nullptr ? 0 : digits->as_integer("round")));
    return std::nearbyint(value.as_double("round") * scale) / scale;
}

using FilterCall = Value (*)(Runtime&, const Value&, const Arguments&);

struct NamedFilter {
    std::string_view name;
    FilterCall call;
};

const NamedFilter kFilters[] = {
    {"trim",
     [](Runtime& r, const Value& v, const Arguments& a) { return call_method(r, v, "strip", a); }},
    {"upper",
     [](Runtime& r, const Value& v, const Arguments& a) { return call_method(r, v, "upper", a); }},
    {"lower",
     [](Runtime& r, const Value& v, const Arguments& a) { return call_method(r, v, "lower", a); }},
    {"capitalize", [](Runtime& r, const Value& v,
                      const Arguments& a) { return call_method(r, v, "capitalize", a); }},
    {"title",
     [](Runtime& r, const Value& v, const Arguments& a) { return call_method(r, v, "title", a); }},
    {"replace", [](Runtime& r, const Value& v,
                   const Arguments& a) { return call_method(r, v, "replace", a); }},
    {"length", [](Runtime&, const Value& v, const Arguments&) -> Value { return length_of(v); }},
    {"count", [](Runtime&, const Value& v, const Arguments&) -> Value { return length_of(v); }},
    {"first",
     [](Runtime&, const Value& v, const Arguments&) -> Value {
         const List list = v.elements();
         return list.empty() ? Value(Undefined{"the first element"}) : list.front();
     }},
    {"last",
     [](Runtime&, const Value& v, const Arguments&) -> Value {
         const List list = v.elements();
         return list.empty() ? Value(Undefined{"the last element"}) : list.back();
     }},
    {"list", [](Runtime&, const Value& v, const Arguments&) -> Value { return v.elements(); }},
    {"reverse",
     [](Runtime&, const Value& v, const Arguments&) -> Value {
         List list = v.elements();
         std::reverse(list.begin(), list.end());
         if (!v.is_string()) return list;
         std::string text;
         for (const Value& one : list) text += *one.text();
         return text;
     }},
    {"string", [](Runtime&, const Value& v, const Arguments&) -> Value { return v.to_string(); }},
    {"safe", [](Runtime&, const Value& v, const Arguments&) -> Value { return v; }},
    {"escape",
     [](Runtime&, const Value& v, const Arguments&) -> Value { return escaped(v.to_string()); }},
    {"e",
     [](Runtime&, const Value& v, const Arguments&) -> Value { return escaped(v.to_string()); }},
    {"int", [](Runtime&, const Value& v, const Arguments& a) { return to_integer(v, a); }},
    {"float", [](Runtime&, const Value& v, const Arguments& a) { return to_float(v, a); }},
    {"abs",
     [](Runtime&, const Value& v, const Arguments&) -> Value {
         if (v.is_float()) return std::fabs(v.as_double(""));
         const int64_t number = v.as_integer("abs");
         VILA_CHECK(number != std::numeric_limits<int64_t>::min(), "a number is above 2^63 - 1");
         return std::abs(number);
     }},
    {"round", [](Runtime&, const Value& v, const Arguments& a) { return rounded(v, a); }},
    {"min", [](Runtime&, const Value& v, const Arguments&) { return extreme(v, false); }},
    {"max", [](Runtime&, const Value& v, const Arguments&) { return extreme(v, true); }},
    {"default",
     [](Runtime&, const Value& v, const Arguments& a) -> Value {
         const Value *given = a.find(0, "default_value"), *also_false = a.find(1, "boolean");
         const bool missing =
             v.is_undefined() || (also_false != nullptr && also_false->is_true() && !v.is_true());
         return !missing ? v : given == nullptr ? Value("") : *given;
     }},
    {"join", [](Runtime& r, const Value& v, const Arguments& a) { return joined(r, v, a); }},
    {"map", [](Runtime& r, const Value& v, const Arguments& a) { return mapped(r, v, a); }},
    {"select",
     [](Runtime& r, const Value& v, const Arguments& a) { return selected(r, v, a, false, true); }},
    {"reject", [](Runtime& r, const Value& v,
                  const Arguments& a) { return selected(r, v, a, false, false); }},
    {"selectattr",
     [](Runtime& r, const Value& v, const Arguments& a) { return selected(r, v, a, true, true); }},
    {"rejectattr",
     [](Runtime& r, const Value& v, const Arguments& a) { return selected(r, v, a, true, false); }},
    {"sort", [](Runtime& r, const Value& v, const Arguments& a) { return sorted(r, v, a); }},
    {"unique", [](Runtime& r, const Value& v, const Arguments&) { return unique(r, v); }},
    {"items",
     [](Runtime& r, const Value& v, const Arguments& a) -> Value {
         if (v.is_undefined()) return List{};
         VILA_CHECK(v.dict() != nullptr, "items: expected dict, got ", v.type_name());
         return method(r, v, "items").callable()->call(a);
     }},
    {"dictsort",
     [](Runtime& r, const Value& v, const Arguments&) -> Value {
         VILA_CHECK(v.dict() != nullptr, "dictsort: expected dict, got ", v.type_name());
         Arguments by_key;
         by_key.keywords.emplace_back("attribute", Value("0"));
         return sorted(r, method(r, v, "items").callable()->call({}), by_key);
     }},
    {"indent",
     [](Runtime&, const Value& v, const Arguments& a) -> Value {
         return indented(v.to_string(), a);
     }},
    {"tojson",
     [](Runtime& r, const Value& v, const Arguments& a) -> Value {
         const Value* indent = a.find(0, "indent");
         std::string text = to_json_text(
             v, indent == nullptr || indent->is_none() ? -1 : indent->as_integer("tojson"));
         r.take(static_cast<int64_t>(text.size()));
         return text;
     }},
};

}  // namespace

Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   const Arguments& arguments) {
    runtime.take(static_cast<int64_t>(value.is_string() ? value.text()->size() : 0));
    const std::string_view wanted = name == "d" ? "default" : std::string_view(name);
    for (const NamedFilter& filter : kFilters)
        if (filter.name == wanted) return filter.call(runtime, value, arguments);
    throw Error(str("the filter ", name, " is not implemented"));
}

}  // namespace vila::data::jinja
