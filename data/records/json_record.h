#pragma once

// Reads fields of a JSON record, with errors that name the fields.

#include <initializer_list>
#include <string>

#include "tensor/json_fwd.h"

namespace vila::data {

// Returns the first field of `names` that has a value; nullptr if there is none. Null counts as no
// value, and so do NaN and Infinity, which Python's json and table exports write for missing
// values.
const Json* find_field(const Json& record, std::initializer_list<const char*> names);
// Returns that field. Throws if there is none.
const Json& field(const Json& record, std::initializer_list<const char*> names);
// Returns that field as text. Numbers become text, because files mix ids of both kinds.
std::string text_field(const Json& record, std::initializer_list<const char*> names);

// Returns the record's "id", "question_id" or "url"; empty if it has none.
std::string record_id(const Json& record);

}  // namespace vila::data
