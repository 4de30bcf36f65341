#pragma once

// JSON for the whole project: one value type and one parser. json_fields.h gives typed access to
// the fields of an object.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/json_fwd.h"

namespace vila {

// The most levels of nested arrays and objects that the parser accepts.
inline constexpr int kMaxJsonDepth = 100;

enum class RepeatedKeys {
    KeepLast,  // keep the last value, as Python's json does; for data that others wrote
    Refuse,    // throw; for configurations, in which a repeated key is a mistake
};

// Parses `text`: one JSON value (RFC 8259) in UTF-8, with or without a byte-order mark. Also
// accepts NaN, Infinity and -Infinity, which Python's json writes. These become non-finite doubles,
// as does a number too large for a double, so code that reads a number must check that it is
// finite, as JsonFields does. Escaped surrogates must come in pairs.
//
// Throws "WHERE: not valid JSON: ..., at line 3, column 5" (columns count bytes). `where` names the
// source of the text; pass "" if the caller adds the name itself.
Json parse_json(std::string_view text, const std::string& where,
                RepeatedKeys repeated_keys = RepeatedKeys::KeepLast);

// The value of `text`, or nothing if it is not valid JSON. For text that may be incomplete, such as
// the last line of a log.
std::optional<Json> try_parse_json(std::string_view text);

// Parses a configuration file. Throws if it exceeds 16 MiB or repeats a key.
Json read_json_file(const std::string& path);

// `value` as JSON on one line, for a message: ASCII only, cut off with "..." after 60 bytes.
std::string shown(const Json& value);

// The message of an nlohmann::json exception without the prefix that gives its class and number:
// "type must be string, but is number".
std::string json_error_text(const Json::exception& error);

}  // namespace vila
