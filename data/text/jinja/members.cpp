// Members, elements and slices of values, and the functions that every template has.

#include <algorithm>
#include <ctime>

#include "data/text/jinja/builtins.h"
#include "tensor/check.h"

namespace vila::data::jinja {

Value attribute(Runtime& runtime, const Value& object, const std::string& name) {
    VILA_CHECK(!object.is_undefined(), std::get<Undefined>(object.storage()).name,
               " is undefined and has no member ", name);
    if (object.space() != nullptr) {
        const Value* found = find(object.space()->members, name);
        return found != nullptr ? *found : Value(Undefined{name});
    }
    Value found = method(runtime, object, name);
    if (found.is_undefined() && object.dict() != nullptr)
        if (const Value* member = find(*object.dict(), name)) return *member;
    return found;
}

Value subscript(Runtime& runtime, const Value& object, const Value& key) {
    if (object.dict() != nullptr)
        if (const Value* member = find(*object.dict(), key)) return *member;
    if (key.is_string()) return attribute(runtime, object, *key.text());
    VILA_CHECK(!object.is_undefined(), std::get<Undefined>(object.storage()).name,
               " is undefined and has no elements");
    if (!key.is_integer() || (object.list() == nullptr && !object.is_string()))
        return Undefined{"an element of " + object.type_name()};
    const List all = object.elements();
    runtime.take(static_cast<int64_t>(all.size()));
    const int64_t size = static_cast<int64_t>(all.size()), at = key.as_integer("");
    const int64_t index = at < 0 ? at + size : at;
    if (index < 0 || index >= size) return Undefined{str("element ", at, " of ", size)};
    return all[static_cast<size_t>(index)];
}

Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step) {
    VILA_CHECK(object.list() != nullptr || object.is_string(), "cannot slice ", object.type_name());
    const List all = object.elements();
    runtime.take(static_cast<int64_t>(all.size() * sizeof(Value)));
    const auto size = static_cast<int64_t>(all.size());
    const int64_t stride = step.is_none() ? 1 : step.as_integer("the step of a slice");
    VILA_CHECK(stride != 0, "the step of a slice is 0");
    const auto place = [&](const Value& index, int64_t otherwise) {
        if (index.is_none()) return otherwise;
        const int64_t given = index.as_integer("an index of a slice");
        const int64_t least = stride > 0 ? 0 : -1, most = stride > 0 ? size : size - 1;
        return std::clamp(given < 0 ? given + size : given, least, most);
    };
    const int64_t begin = place(start, stride > 0 ? 0 : size - 1),
                  end = place(stop, stride > 0 ? size : -1);
    List list;
    std::string text;
    for (int64_t i = begin; stride > 0 ? i < end : i > end;) {
        if (object.is_string()) {
            text += *all[static_cast<size_t>(i)].text();
        } else {
            list.push_back(all[static_cast<size_t>(i)]);
        }
        if (__builtin_add_overflow(i, stride, &i)) break;
    }
    return object.is_string() ? Value(text) : Value(list);
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
        runtime.take(sizeof(Value));
        list.emplace_back(i);
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return list;
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
    char text[256];
    const size_t bytes = std::strftime(text, sizeof(text),
                                       a.positional[0].as_text("strftime_now()").c_str(), &parts);
    return std::string(text, bytes);
}

Value make_namespace(const Arguments& a) {
    auto space = std::make_shared<Namespace>();
    for (const Value& given : a.positional)
        if (given.dict() != nullptr) space->members = *given.dict();
    for (const auto& [name, value] : a.keywords) assign(space->members, name, value);
    for (const auto& [name, value] : space->members)
        VILA_CHECK(!value.holds_space(), "namespace(): ", name.to_string(), " holds a namespace");
    return space;
}

}  // namespace

Dict global_functions(Runtime& runtime) {
    return {
        {"range", Callable{"range", [&runtime](const Arguments& a) { return range(runtime, a); }}},
        {"namespace", Callable{"namespace", make_namespace}},
        {"dict", Callable{"dict",
                          [](const Arguments& a) -> Value {
                              Dict dict = a.positional.empty() || a.positional[0].dict() == nullptr
                                              ? Dict{}
                                              : *a.positional[0].dict();
                              for (const auto& [name, value] : a.keywords)
                                  assign(dict, name, value);
                              return dict;
                          }}},
        {"raise_exception", Callable{"raise_exception", raise_exception}},
        {"strftime_now", Callable{"strftime_now", strftime_now}},
    };
}

}  // namespace vila::data::jinja
