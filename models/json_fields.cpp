#include "models/json_fields.h"

#include <set>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::models {

namespace {

// Configuration files are small; anything larger is a mistake.
constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;
constexpr size_t kShownCharacters = 60;
constexpr int kMaxDepth = 100;

}  // namespace

Json read_json_file(const std::string& path) {
    const std::string text = read_file(path, kMaxConfigBytes);
    // The library keeps the last of two equal keys, and copies nested values by recursion.
    std::vector<std::set<std::string>> keys;
    const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
        VILA_CHECK(depth <= kMaxDepth, path, ": more than ", kMaxDepth, " levels of nesting");
        if (event == Json::parse_event_t::object_start) keys.emplace_back();
        if (event == Json::parse_event_t::object_end) keys.pop_back();
        if (event == Json::parse_event_t::key)
            VILA_CHECK(keys.back().insert(parsed.get<std::string>()).second, path, ": key ",
                       parsed.dump(-1, ' ', true, Json::error_handler_t::replace), " twice");
        return true;
    };
    try {
        return Json::parse(text, check);
    } catch (const Json::exception& error) {
        // The library's text: "[json.exception.parse_error.101] parse error at line 1, ...".
        const std::string what = error.what();
        throw Error(str(path, ": not valid JSON:", what.substr(what.find(']') + 1)));
    }
}

JsonFields::JsonFields(const Json& json, std::string where)
    : json_(json), where_(std::move(where)) {
    VILA_CHECK(json.is_object(), where_, ": expected a JSON object");
}

bool JsonFields::has(const std::string& name) const {
    const auto found = json_.find(name);
    return found != json_.end() && !found->is_null();
}

const Json& JsonFields::raw(const std::string& name) const {
    VILA_CHECK(has(name), where_, ": field ", name, " is missing");
    return json_.at(name);
}

void JsonFields::fail(const std::string& name, const std::string& expected) const {
    std::string got = raw(name).dump(-1, ' ', true, Json::error_handler_t::replace);
    if (got.size() > kShownCharacters) got = got.substr(0, kShownCharacters) + "...";
    throw Error(str(where_, ": field ", name, ": expected ", expected, ", got ", got));
}

JsonFields JsonFields::object(const std::string& name) const {
    if (!raw(name).is_object()) fail(name, "an object");
    return {raw(name), where_ + ": " + name};
}

int64_t JsonFields::integer(const std::string& name) const {
    raw(name);
    return integer(name, 0);
}

int64_t JsonFields::integer(const std::string& name, int64_t fallback, int64_t least) const {
    if (!has(name)) return fallback;
    const Json& value = raw(name);
    constexpr uint64_t kLargest = uint64_t{1} << 40;
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= kLargest) &&
                      value.get<int64_t>() >= least;
    if (!fits) fail(name, least == 1 ? "a positive integer" : str("an integer from ", least));
    return value.get<int64_t>();
}

double JsonFields::number(const std::string& name, double fallback) const {
    if (!has(name)) return fallback;
    if (!raw(name).is_number()) fail(name, "a number");
    return raw(name).get<double>();
}

bool JsonFields::boolean(const std::string& name, bool fallback) const {
    if (!has(name)) return fallback;
    if (!raw(name).is_boolean()) fail(name, "true or false");
    return raw(name).get<bool>();
}

std::string JsonFields::text(const std::string& name) const {
    if (!raw(name).is_string()) fail(name, "a string");
    return raw(name).get<std::string>();
}

std::string JsonFields::text(const std::string& name, const std::string& fallback) const {
    return has(name) ? text(name) : fallback;
}

}  // namespace vila::models
