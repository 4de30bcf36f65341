#include "data/text/jinja/list_filters.h"

#include <algorithm>
#include <charconv>

#include "data/text/jinja/arithmetic.h"
#include "data/text/jinja/builtins.h"
#include "data/text/jinja/text_methods.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

// Returns the member that a path such as "a.b.0" names.
Value member_at(Runtime& runtime, Value value, const std::string& path) {
    size_t begin = 0;
    while (begin <= path.size()) {
        const size_t end = std::min(path.find('.', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        int64_t index = 0;
        const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
        const bool is_index = parsed.ec == std::errc() && parsed.ptr == part.data() + part.size();
        runtime.step();
        value = subscript(runtime, value, is_index ? Value(index) : Value(part));
        begin = end + 1;
    }
    return value;
}

// Returns the element that sorting and searching compare: the member `attribute` if it is given,
// and without `case_sensitive` in lower case.
Value compared(Runtime& runtime, const Value& element, const Value* attribute,
               const Value* case_sensitive) {
    const bool whole = attribute == nullptr || attribute->is_none();
    Value key = whole ? element : member_at(runtime, element, attribute->to_string());
    if (!key.is_string() || (case_sensitive != nullptr && case_sensitive->is_true())) return key;
    return call_text_method(runtime, "lower", *key.text(), {});
}

// Returns the elements in the order of their keys; those with equal keys keep theirs, also with
// `reverse`.
Value sorted_by(Runtime& runtime, const List& list, const Value* attribute,
                const Value* case_sensitive, const Value* reverse) {
    const bool descends = reverse != nullptr && reverse->is_true();
    std::vector<std::pair<Value, Value>> keyed;
    runtime.take(static_cast<int64_t>(list.size()) * 2 * Value::kNodeBytes);
    for (const Value& element : list)
        keyed.emplace_back(compared(runtime, element, attribute, case_sensitive), element);
    std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
        runtime.step(std::min(a.first.bytes(), b.first.bytes()));
        return descends ? b.first.less(a.first) : a.first.less(b.first);
    });
    List out;
    for (auto& [key, element] : keyed) out.push_back(std::move(element));
    return out;
}

const std::string& name_argument(const Arguments& arguments, size_t position, const char* filter) {
    VILA_CHECK(position < arguments.positional.size(), filter, ": a name is missing");
    return arguments.positional[position].as_text(filter);
}

}  // namespace

Value selected(Runtime& runtime, const Value& value, const Arguments& arguments, bool by_member,
               bool wanted) {
    const size_t test_at = by_member ? 1 : 0;
    const std::string member = by_member ? name_argument(arguments, 0, "selectattr") : "";
    const bool has_test = test_at < arguments.positional.size();
    const std::string test = has_test ? name_argument(arguments, test_at, "select") : "";
    const Arguments test_arguments = arguments_from(arguments, test_at + 1);
    List out;
    if (!value.is_true()) return out;  // also for None, as in Jinja
    for (const Value& element : runtime.elements(value)) {
        runtime.step();
        const Value tested = by_member ? member_at(runtime, element, member) : element;
        const bool holds =
            has_test ? apply_test(runtime, test, tested, test_arguments) : tested.is_true();
        if (holds == wanted) out.push_back(element);
    }
    return out;
}

Value mapped(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value* member = find(arguments.keywords, "attribute");
    const Value* otherwise = find(arguments.keywords, "default");
    const std::string name =
        member != nullptr ? member->to_string() : name_argument(arguments, 0, "map");
    const Arguments filter_arguments = arguments_from(arguments, 1);
    List out;
    if (!value.is_true()) return out;  // also for None, as in Jinja
    for (const Value& element : runtime.elements(value)) {
        runtime.step();
        if (member == nullptr) {
            out.push_back(apply_filter(runtime, name, element, filter_arguments));
        } else {
            Value found = member_at(runtime, element, name);
            out.push_back(found.is_undefined() && otherwise != nullptr ? *otherwise : found);
        }
    }
    return out;
}

Value joined(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value* separator = arguments.find(0, "d");
    const Value* member = arguments.find(1, "attribute");
    const std::string between = separator == nullptr ? "" : runtime.text_of(*separator);
    std::string out;
    bool first = true;
    for (const Value& element : runtime.elements(value)) {
        runtime.step();
        if (!first) runtime.append(out, between);
        out += runtime.text_of(
            member == nullptr ? element : member_at(runtime, element, member->to_string()));
        first = false;
    }
    return out;
}

Value sorted(Runtime& runtime, const Value& value, const Arguments& arguments) {
    return sorted_by(runtime, runtime.elements(value), arguments.find(2, "attribute"),
                     arguments.find(1, "case_sensitive"), arguments.find(0, "reverse"));
}

Value sorted_dict(Runtime& runtime, const Value& value, const Arguments& arguments) {
    VILA_CHECK(value.dict() != nullptr, "dictsort: expected dict, got ", value.type_name());
    const Value* by = arguments.find(1, "by");
    const std::string order = by == nullptr ? "key" : by->as_text("dictsort");
    VILA_CHECK(order == "key" || order == "value", "dictsort: expected by='key' or by='value'");
    const Value place(order == "key" ? "0" : "1");
    const Value items = method(runtime, value, "items").callable()->call({});
    return sorted_by(runtime, *items.list(), &place, arguments.find(0, "case_sensitive"),
                     arguments.find(2, "reverse"));
}

Value unique(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value* case_sensitive = arguments.find(0, "case_sensitive");
    const Value* attribute = arguments.find(1, "attribute");
    List keys, out;
    for (const Value& element : runtime.elements(value)) {
        const Value key = compared(runtime, element, attribute, case_sensitive);
        runtime.step(static_cast<int64_t>(keys.size()) * key.bytes());
        if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
        keys.push_back(key);
        out.push_back(element);
    }
    return out;
}

Value extreme(Runtime& runtime, const Value& value, const Arguments& arguments, bool largest) {
    const Value reverse(largest);
    const Value ordered =
        sorted_by(runtime, runtime.elements(value), arguments.find(1, "attribute"),
                  arguments.find(0, "case_sensitive"), &reverse);
    return ordered.is_true() ? ordered.list()->front() : Undefined{"an element of an empty list"};
}

Value sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
    const Value* member = arguments.find(0, "attribute");
    const Value* start = arguments.find(1, "start");
    Value total = start == nullptr ? Value(int64_t{0}) : *start;
    for (const Value& element : runtime.elements(value)) {
        runtime.step();
        const bool whole = member == nullptr || member->is_none();
        total = arithmetic(runtime, "+", total,
                           whole ? element : member_at(runtime, element, member->to_string()));
    }
    return total;
}

Value element_at(Runtime& runtime, const Value& value, int64_t index) {
    if (value.list() != nullptr || value.is_string())
        return subscript(runtime, value, Value(index));
    const List list = runtime.elements(value);
    if (list.empty()) return Undefined{"an element of an empty list"};
    return index == 0 ? list.front() : list.back();
}

Value reversed(Runtime& runtime, const Value& value) {
    List list = runtime.elements(value);
    std::reverse(list.begin(), list.end());
    if (!value.is_string()) return list;
    std::string text;
    for (const Value& one : list) runtime.append(text, *one.text());
    return text;
}

Value length_of(const Value& value) {
    if (value.is_undefined()) return int64_t{0};
    if (const std::string* text = value.text()) return count_characters(*text);
    if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->size());
    VILA_CHECK(value.list() != nullptr, "length: expected a str or list, got ", value.type_name());
    return static_cast<int64_t>(value.list()->size());
}

}  // namespace vila::data::jinja
