#pragma once

// A TOML file as a JSON tree that remembers where each value stands, and `key=value` overrides on
// top of it. What the keys mean is not known here: see recipe.h.

#include <functional>
#include <map>
#include <string>

#include "tensor/json.h"

namespace vila::tools {

struct TomlDocument {
    Json root = Json::object();
    std::string file;
    // Path of a value, "data.sources[0].weight", to where it was written: "recipe.toml:12" or
    // "override data.sources[0].weight=2".
    std::map<std::string, std::string> places;
    // Path of an overridden value to what stood behind the "=".
    std::map<std::string, std::string> override_texts;

    // The place of a value; of the nearest enclosing value with a known place otherwise.
    std::string place(const std::string& path) const;
};

// Reads a file. Throws Error naming file and line for anything that is not TOML, and for dates,
// which JSON lacks.
TomlDocument read_toml(const std::string& file);
TomlDocument parse_toml(const std::string& text, const std::string& name);

// Sets one value: "optimizer.lr=1e-4", "data.sources[0].weight=2" or "data.sources.0.weight=2".
// The value is TOML; a value that is none is taken as a string, so quotes may be left out
// ("stage=sft"). Array elements must exist; tables on the way are made. `missing` gives the value,
// or null, that a path absent from the document has by default. Returns the path set.
std::string apply_override(TomlDocument& document, const std::string& assignment,
                           const std::function<Json(const std::string& path)>& missing);

// A value as TOML on one line; numbers round-trip exactly.
std::string toml_text(const Json& value);

}  // namespace vila::tools
