#pragma once

// Fields of a record, with errors that name them.

#include <initializer_list>
#include <string>

#include "tensor/json_fwd.h"

namespace vila::data {

// The first of `names` that the record has and that is not null; nullptr if there is none.
const Json* find_field(const Json& record, std::initializer_list<const char*> names);
// The same, but throws when there is none.
const Json& field(const Json& record, std::initializer_list<const char*> names);
// The same, as text; numbers are spelled out, as files mix ids of both kinds.
std::string text_field(const Json& record, std::initializer_list<const char*> names);

// The record's "id", "question_id" or "url", empty if it has none.
std::string record_id(const Json& record);

}  // namespace vila::data
