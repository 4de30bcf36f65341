#include "data/records/json_record.h"

#include <cmath>

#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::data {

namespace {

std::string list(std::initializer_list<const char*> names) {
    std::string text;
    for (const char* name : names) text += str(text.empty() ? "" : " or ", "\"", name, "\"");
    return text;
}

std::string as_text(const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

bool has_value(const Json& field) {
    return !field.is_null() && (!field.is_number_float() || std::isfinite(field.get<double>()));
}

}  // namespace

const Json* find_field(const Json& record, std::initializer_list<const char*> names) {
    VILA_CHECK(record.is_object(), "the record: expected an object, got ", shown(record));
    for (const char* name : names) {
        const auto found = record.find(name);
        if (found != record.end() && has_value(*found)) return &*found;
    }
    return nullptr;
}

const Json& field(const Json& record, std::initializer_list<const char*> names) {
    const Json* found = find_field(record, names);
    VILA_CHECK(found != nullptr, "the field ", list(names), " is missing");
    return *found;
}

std::string text_field(const Json& record, std::initializer_list<const char*> names) {
    const Json& value = field(record, names);
    VILA_CHECK(value.is_string() || value.is_number(), "the field ", list(names),
               ": expected text, got ", shown(value));
    return as_text(value);
}

std::string record_id(const Json& record) {
    const Json* id = find_field(record, {"id", "question_id", "url"});
    return id == nullptr ? "" : as_text(*id);
}

}  // namespace vila::data
