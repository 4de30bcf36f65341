#include "data/records/json_record.h"

#include <nlohmann/json.hpp>

#include "tensor/check.h"

namespace vila::data {

namespace {

std::string list(std::initializer_list<const char*> names) {
    std::string text;
    for (const char* name : names) text += str(text.empty() ? "" : " or ", "\"", name, "\"");
    return text;
}

std::string as_text(const nlohmann::json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

const nlohmann::json* find_field(const nlohmann::json& record,
                                 std::initializer_list<const char*> names) {
    VILA_CHECK(record.is_object(), "the record is ", record.type_name(), ": expected an object");
    for (const char* name : names) {
        const auto found = record.find(name);
        if (found != record.end() && !found->is_null()) return &*found;
    }
    return nullptr;
}

const nlohmann::json& field(const nlohmann::json& record,
                            std::initializer_list<const char*> names) {
    const nlohmann::json* found = find_field(record, names);
    VILA_CHECK(found != nullptr, "the field ", list(names), " is missing");
    return *found;
}

std::string text_field(const nlohmann::json& record, std::initializer_list<const char*> names) {
    const nlohmann::json& value = field(record, names);
    VILA_CHECK(value.is_string() || value.is_number(), "the field ", list(names), " is ",
               value.type_name(), ": expected text");
    return as_text(value);
}

std::string record_id(const nlohmann::json& record) {
    const nlohmann::json* id = find_field(record, {"id", "question_id", "url"});
    return id == nullptr ? "" : as_text(*id);
}

}  // namespace vila::data
