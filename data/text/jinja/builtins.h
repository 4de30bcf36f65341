#pragma once

// What templates can call: filters (x | trim), tests (x is defined), methods of strings and dicts,
// and functions like range(). The subset of Jinja 3.1 and Python 3 that published chat templates
// use.

#include <string>

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

// Each throws Error naming the filter, test or method that does not exist or that cannot take its
// arguments.
Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   const Arguments& arguments);
bool apply_test(Runtime& runtime, const std::string& name, const Value& value,
                const Arguments& arguments);

// A method of a string, list or dict as a function; Undefined if there is no such method.
Value method(Runtime& runtime, const Value& object, const std::string& name);

// The functions range, namespace, dict, raise_exception and strftime_now.
Dict global_functions(Runtime& runtime);

// x.name and x[key]: Undefined where there is none; throws for a member of an undefined value.
Value attribute(Runtime& runtime, const Value& object, const std::string& name);
Value subscript(Runtime& runtime, const Value& object, const Value& key);
// x[start:stop:step], each None or an int.
Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step);

// As json.dumps(value, ensure_ascii=False, indent=indent); indent < 0: on one line.
std::string to_json_text(const Value& value, int64_t indent);

}  // namespace vila::data::jinja
