#pragma once

// JSON for the whole project: one value type and one parser. Typed access to the fields of an
// object is in json_fields.h.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/json_fwd.h"

namespace vila {

// Values may be nested this deep.
inline constexpr int kMaxJsonDepth = 100;

enum class RepeatedKeys {
    KeepLast,  // as Python's json does: data that others wrote
    Refuse,    // configurations, in which a repeated key is a mistake
};

// Parses `text`, one JSON value in UTF-8, with or without a byte-order mark. Accepts what RFC 8259
// allows and what Python's json writes beyond it: NaN, Infinity and -Infinity, which become numbers
// that are not finite, as does a number too large for a double. Whoever reads such a field refuses
// it; JsonFields does. Throws "WHERE: not valid JSON: ..., at line 3, column 5"; `where` names the
// source of the text, and may be empty where the caller adds it.
Json parse_json(std::string_view text, const std::string& where,
                RepeatedKeys repeated_keys = RepeatedKeys::KeepLast);

// The value of `text`, or nothing if it is not JSON: the last line of a log may have been cut off.
std::optional<Json> try_parse_json(std::string_view text);

// Parses a configuration file of at most 16 MiB; refuses repeated keys.
Json read_json_file(const std::string& path);

// `value` on one line for a message: ASCII, at most 60 bytes and "...".
std::string shown(const Json& value);

// The library's text of `error` without its class name and number: "type must be string, but is
// number".
std::string json_error_text(const Json::exception& error);

}  // namespace vila
