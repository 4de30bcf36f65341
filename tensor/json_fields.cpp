#include "tensor/json_fields.h"

#include <cmath>
#include <limits>

#include "tensor/check.h"

namespace vila {

namespace {

// Most numbers become f32 values of a computation.
bool is_finite_float(double value) {
    return std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max());
}

}  // namespace

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
    throw Error(str(where_, ": field ", name, ": expected ", expected, ", got ", shown(raw(name))));
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
    const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > kLargest;
    if (too_large) fail(name, str("an integer of at most ", kLargest));
    if (!value.is_number_integer() || value.get<int64_t>() < least)
        fail(name, least == 1           ? "a positive integer"
                   : least == INT64_MIN ? "an integer"
                                        : str("an integer of at least ", least));
    return value.get<int64_t>();
}

double JsonFields::number(const std::string& name, double fallback) const {
    if (!has(name)) return fallback;
    if (!raw(name).is_number()) fail(name, "a number");
    const double value = raw(name).get<double>();
    if (!is_finite_float(value)) fail(name, "a finite number");
    return value;
}

double JsonFields::positive_number(const std::string& name, double fallback) const {
    const double value = number(name, fallback);
    if (has(name) && !(static_cast<float>(value) > 0.0f)) fail(name, "a positive number");
    return value;
}

double JsonFields::number_from_zero(const std::string& name, double fallback) const {
    const double value = number(name, fallback);
    if (has(name) && !(value >= 0.0)) fail(name, "a number from 0");
    return value;
}

std::vector<double> JsonFields::numbers(const std::string& name, size_t size) const {
    std::vector<double> values;
    if (raw(name).is_array())
        for (const Json& value : raw(name))
            if (value.is_number() && is_finite_float(value.get<double>()))
                values.push_back(value.get<double>());
    if (values.size() != size || raw(name).size() != size)
        fail(name, str("a list of ", size, " finite numbers"));
    return values;
}

const Json& JsonFields::list(const std::string& name) const {
    static const Json empty = Json::array();
    if (!has(name)) return empty;
    if (!raw(name).is_array()) fail(name, "a list");
    return raw(name);
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

}  // namespace vila
