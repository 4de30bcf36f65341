// The methods of dict, and methods as values: x.strip is a function.

#include "data/text/jinja/builtins.h"
#include "data/text/jinja/text_methods.h"
#include "tensor/check.h"

namespace vila::data::jinja {

namespace {

using DictMethod = Value (*)(Runtime&, const Dict&, const Arguments&);

Value items(Runtime& runtime, const Dict& dict, const Arguments&) {
    runtime.take(static_cast<int64_t>(dict.size()) * 4 * Value::kNodeBytes);
    List pairs;
    for (const auto& [key, value] : dict) pairs.emplace_back(List{key, value}, ListKind::Tuple);
    return {std::move(pairs), ListKind::Items};
}

Value keys(Runtime& runtime, const Dict& dict, const Arguments&) {
    runtime.take(static_cast<int64_t>(dict.size()) * Value::kNodeBytes);
    List keys;
    for (const auto& [key, value] : dict) keys.push_back(key);
    return {std::move(keys), ListKind::Keys};
}

Value values(Runtime& runtime, const Dict& dict, const Arguments&) {
    runtime.take(static_cast<int64_t>(dict.size()) * Value::kNodeBytes);
    List values;
    for (const auto& [key, value] : dict) values.push_back(value);
    return {std::move(values), ListKind::Values};
}

Value get(Runtime& runtime, const Dict& dict, const Arguments& arguments) {
    VILA_CHECK(!arguments.positional.empty(), "get() takes a key");
    const Value& key = arguments.positional[0];
    runtime.step(lookup_cost(dict, key));
    const Value* found = find(dict, key);
    const Value* otherwise = arguments.find(1, "default");
    return found != nullptr ? *found : otherwise != nullptr ? *otherwise : Value();
}

Value copied(Runtime& runtime, const Dict& dict, const Arguments&) {
    runtime.take(static_cast<int64_t>(dict.size()) * 2 * Value::kNodeBytes);
    return dict;
}

DictMethod dict_method(std::string_view name) {
    return name == "items"    ? items
           : name == "keys"   ? keys
           : name == "values" ? values
           : name == "get"    ? get
           : name == "copy"   ? copied
                              : DictMethod{nullptr};
}

}  // namespace

Value method(Runtime& runtime, const Value& object, const std::string& name) {
    if (object.dict() != nullptr) {
        const DictMethod call = dict_method(name);
        if (call == nullptr) return Undefined{name};
        return {Callable{name,
                         [object, call, &runtime](const Arguments& arguments) {
                             return call(runtime, *object.dict(), arguments);
                         }},
                object};
    }
    if (object.is_string() && is_text_method(name))
        return {Callable{name,
                         [object, name, &runtime](const Arguments& arguments) {
                             return call_text_method(runtime, name, *object.text(), arguments);
                         }},
                object};
    return Undefined{object.type_name() + " object has no attribute '" + name + "'; it"};
}

}  // namespace vila::data::jinja
