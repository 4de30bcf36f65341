// Members, elements and slices of values, and the functions that every template can call.

#include <algorithm>
#include <ctime>
#include <limits>

#include "data/text/jinja/builtins.h"
#include "tensor/check.h"
#include "tensor/json_scanner.h"

namespace vila::data::jinja {

Value attribute(Runtime& runtime, const Value& object, const std::string& name) {
    VILA_CHECK(!object.is_undefined(), object.missing_name(), " is undefined and has no member ",
               name);
    runtime.step(static_cast<int64_t>(name.size()));
    if (object.space() != nullptr) {
        runtime.step(lookup_cost(object.space()->members, name));
        const Value* found = find(object.space()->members, name);
        return found != nullptr ? *found : Value(Undefined{name});
    }
    Value found = method(runtime, object, name);
    if (!found.is_undefined() || object.dict() == nullptr) return found;
    runtime.step(lookup_cost(*object.dict(), name));
    const Value* member = find(*object.dict(), name);
    return member != nullptr ? *member : found;
}

int64_t lookup_cost(const Dict& dict, const Value& key) {
    return static_cast<int64_t>(dict.size() + 1) * key.bytes();
}

int64_t search_cost(std::string_view text, std::string_view part) {
    int64_t cost = 0;
    const bool overflows = __builtin_mul_overflow(static_cast<int64_t>(text.size()),
                                                  static_cast<int64_t>(part.size()), &cost);
    return overflows ? std::numeric_limits<int64_t>::max() / 2 : cost;
}

Arguments arguments_from(const Arguments& arguments, size_t from) {
    Arguments rest{{}, arguments.keywords};
    for (size_t i = from; i < arguments.positional.size(); ++i)
        rest.positional.push_back(arguments.positional[i]);
    return rest;
}

namespace {

// Returns the bytes of the first `count` characters, or of all if there are fewer.
size_t bytes_of(std::string_view text, int64_t count) {
    size_t at = 0;
    for (; count > 0 && at < text.size(); --count) at += std::max<size_t>(1, utf8_length(text, at));
    return at;
}

// Returns `count` characters of `text` from the character `begin` on.
std::string_view characters_at(std::string_view text, int64_t begin, int64_t count) {
    text.remove_prefix(bytes_of(text, begin));
    return text.substr(0, bytes_of(text, count));
}

int64_t size_of(const Value& value) {
    return value.is_string() ? count_characters(*value.text())
                             : static_cast<int64_t>(value.list()->size());
}

struct Range {
    int64_t begin, end, stride;
};

// Returns the places that a slice selects from a list of `size` elements.
Range slice_range(int64_t size, const Value& start, const Value& stop, const Value& step) {
    const int64_t stride = step.is_none() ? 1 : step.as_integer("the step of a slice");
    VILA_CHECK(stride != 0, "the step of a slice is 0");
    const auto place = [&](const Value& index, int64_t otherwise) {
        if (index.is_none()) return otherwise;
        const int64_t given = index.as_integer("an index of a slice");
        const int64_t least = stride > 0 ? 0 : -1, most = stride > 0 ? size : size - 1;
        return std::clamp(given < 0 ? given + size : given, least, most);
    };
    return {place(start, stride > 0 ? 0 : size - 1), place(stop, stride > 0 ? size : -1), stride};
}

}  // namespace

Value subscript(Runtime& runtime, const Value& object, const Value& key) {
    if (object.dict() != nullptr) {
        runtime.step(lookup_cost(*object.dict(), key));
        if (const Value* member = find(*object.dict(), key)) return *member;
    }
    if (key.is_string()) return attribute(runtime, object, *key.text());
    VILA_CHECK(!object.is_undefined(), object.missing_name(), " is undefined and has no elements");
    if (!(key.is_integer() || key.is_bool()) || (object.list() == nullptr && !object.is_string()))
        return Undefined{"an element of " + object.type_name()};
    if (object.is_string()) runtime.step(object.bytes());
    const int64_t size = size_of(object), at = key.as_integer("");
    const int64_t index = at < 0 ? at + size : at;
    if (index < 0 || index >= size) return Undefined{str("element ", at, " of ", size)};
    if (object.is_string()) return characters_at(*object.text(), index, 1);
    return (*object.list())[static_cast<size_t>(index)];
}

Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step) {
    VILA_CHECK(object.list() != nullptr || object.is_string(), "cannot slice ", object.type_name());
    if (object.is_string()) runtime.step(object.bytes());
    const Range range = slice_range(size_of(object), start, stop, step);
    if (object.is_string() && range.stride == 1) {
        const std::string_view part =
            characters_at(*object.text(), range.begin, range.end - range.begin);
        runtime.take(static_cast<int64_t>(part.size()));
        return part;
    }
    const List all = object.is_string() ? runtime.elements(object) : List{};
    const List& from = object.is_string() ? all : *object.list();
    List list;
    std::string text;
    for (int64_t i = range.begin; range.stride > 0 ? i < range.end : i > range.end;) {
        const Value& element = from[static_cast<size_t>(i)];
        runtime.take(Value::kNodeBytes);
        if (object.is_string())
            text += *element.text();
        else
            list.push_back(element);
        if (__builtin_add_overflow(i, range.stride, &i)) break;
    }
    return object.is_string() ? Value(text) : Value(std::move(list), object.list_kind());
}

namespace {

Value range(Runtime& runtime, const Arguments& a) {
    VILA_CHECK(!a.positional.empty() && a.positional.size() <= 3,
               "range() takes one to three numbers");
    const auto number = [&](size_t i) { return a.positional[i].as_integer("range()"); };
    const int64_t begin = a.positional.size() == 1 ? 0 : number(0),
                  end = number(a.positional.size() == 1 ? 0 : 1);
    const int64_t step = a.positional.size() == 3 ? number(2) : 1;
    VILA_CHECK(step != 0, "range(): the step is 0");
    List list;
    for (int64_t i = begin; step > 0 ? i < end : i > end;) {
        runtime.take(Value::kNodeBytes);
        list.emplace_back(i);
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return {std::move(list), ListKind::Range};
}

Value raise_exception(const Arguments& a) {
    throw Error("the template refuses the conversation: " +
                (a.positional.empty() ? "" : a.positional[0].to_string()));
}

Value strftime_now(const Arguments& a) {
    VILA_CHECK(a.positional.size() == 1, "strftime_now() takes a format");
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    localtime_r(&now, &parts);
    const std::string& format = a.positional[0].as_text("strftime_now()");
    char text[256];
    const size_t bytes = std::strftime(text, sizeof(text), format.c_str(), &parts);
    VILA_CHECK(bytes > 0 || format.empty(),
               "strftime_now(): the format gives no text, or more "
               "than 255 bytes");
    return std::string(text, bytes);
}

// Returns the dict that dict(dict, name=value...) and namespace() make.
Dict members_of(Runtime& runtime, const Arguments& a, const char* function) {
    VILA_CHECK(a.positional.empty() || (a.positional.size() == 1 && a.positional[0].dict()),
               function, " takes a dict and keyword arguments");
    Dict members = a.positional.empty() ? Dict{} : *a.positional[0].dict();
    runtime.take(static_cast<int64_t>(members.size() + a.keywords.size()) * 2 * Value::kNodeBytes);
    for (const auto& [name, value] : a.keywords) {
        runtime.step(lookup_cost(members, name));
        assign(members, name, value);
    }
    return members;
}

Value make_namespace(Runtime& runtime, const Arguments& a) {
    auto space = std::make_shared<Namespace>(Namespace{members_of(runtime, a, "namespace()")});
    for (const auto& [name, value] : space->members)
        VILA_CHECK(!value.holds_space(), "namespace(): ", name.to_string(), " holds a namespace");
    return space;
}

}  // namespace

void set_global_functions(Runtime& runtime) {
    const auto add = [&](const char* name, auto call) { runtime.set(name, Callable{name, call}); };
    add("range", [&runtime](const Arguments& a) { return range(runtime, a); });
    add("namespace", [&runtime](const Arguments& a) { return make_namespace(runtime, a); });
    add("dict", [&runtime](const Arguments& a) { return members_of(runtime, a, "dict()"); });
    add("raise_exception", raise_exception);
    add("strftime_now", strftime_now);
}

}  // namespace vila::data::jinja
