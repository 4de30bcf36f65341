#pragma once

// The filters (x | trim), tests (x is defined), methods of strings and dicts, and functions like
// range(): the subset of Jinja 3.1 and Python 3 that published chat templates use.

#include <string>
#include <string_view>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

// Each throws Error if there is no filter or test of that name, or if it cannot take its arguments.
Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   const Arguments& arguments);
bool apply_test(Runtime& runtime, const std::string& name, const Value& value,
                const Arguments& arguments);

// Returns a method of a string or dict as a function; Undefined if there is no such method.
Value method(Runtime& runtime, const Value& object, const std::string& name);
// Calls a method of a string. Throws Error if it cannot take its arguments.
Value call_text_method(Runtime& runtime, std::string_view name, const std::string& text,
                       const Arguments& arguments);

// Sets the functions range, namespace, dict, raise_exception and strftime_now.
void set_global_functions(Runtime& runtime);

// Each returns a member of `object`, x.name or x[key], and Undefined if there is none. Throws Error
// for a member of an undefined value.
Value attribute(Runtime& runtime, const Value& object, const std::string& name);
Value subscript(Runtime& runtime, const Value& object, const Value& key);
// Returns x[start:stop:step]; each index is None or an int.
Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step);

// Returns the arguments from position `from` on, and all keyword arguments.
Arguments arguments_from(const Arguments& arguments, size_t from);

// Each returns the bytes that a search reads, for Runtime::step().
int64_t lookup_cost(const Dict& dict, const Value& key);
int64_t search_cost(std::string_view text, std::string_view part);

// The arguments of json.dumps.
struct JsonStyle {
    int64_t indent = -1;  // negative: the text is one line
    std::string item_separator = ", ", key_separator = ": ";
    bool sort_keys = false, ensure_ascii = false;
};

std::string to_json_text(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace vila::data::jinja
