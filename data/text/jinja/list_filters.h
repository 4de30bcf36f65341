#pragma once

// Filters of lists and dicts.

#include "data/text/jinja/runtime.h"

namespace vila::data::jinja {

// select and reject; with `by_member` selectattr and rejectattr. Keeps the elements for which the
// test gives `wanted`.
Value selected(Runtime& runtime, const Value& value, const Arguments& arguments, bool by_member,
               bool wanted);
Value mapped(Runtime& runtime, const Value& value, const Arguments& arguments);
Value joined(Runtime& runtime, const Value& value, const Arguments& arguments);
Value sorted(Runtime& runtime, const Value& value, const Arguments& arguments);
Value sorted_dict(Runtime& runtime, const Value& value, const Arguments& arguments);
Value unique(Runtime& runtime, const Value& value, const Arguments& arguments);
Value extreme(Runtime& runtime, const Value& value, const Arguments& arguments, bool largest);
Value sum(Runtime& runtime, const Value& value, const Arguments& arguments);
// first and last.
Value element_at(Runtime& runtime, const Value& value, int64_t index);
Value reversed(Runtime& runtime, const Value& value);
// length and count.
Value length_of(const Value& value);

}  // namespace vila::data::jinja
