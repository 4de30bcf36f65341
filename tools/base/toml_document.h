#pragma once

// A TOML file as a JSON tree that remembers the line of each value, with `key=value` overrides on
// top. Recipes (tools/train/recipe.h) give the keys their meaning.

#include <functional>
#include <map>
#include <string>

#include "tensor/json.h"

namespace vila::tools {

struct TomlDocument {
    Json root = Json::object();
    std::string file;
    // Maps the path of a value ("data.sources[0].weight") to the place where it is written:
    // "recipe.toml:12" or "override data.sources[0].weight=2".
    std::map<std::string, std::string> places;
    // Maps the path of an overridden value to the text after the "=".
    std::map<std::string, std::string> override_texts;

    // The place of a value, or of the nearest enclosing value that has one.
    std::string place(const std::string& path) const;
};

// Reads a file. Throws Error with file and line for anything that is not TOML, and for dates and
// times, which JSON does not have.
TomlDocument read_toml(const std::string& file);
TomlDocument parse_toml(const std::string& text, const std::string& name);

// Sets one value: "optimizer.lr=1e-4", "data.sources[0].weight=2" or "data.sources.0.weight=2". The
// value is TOML; text that is not TOML is taken as a string, so quotes may be left out
// ("stage=sft"). Array elements must exist; missing tables are created. `missing` returns the
// default value, or null, of a path that is absent from the document. Returns the path that was
// set.
std::string apply_override(TomlDocument& document, const std::string& assignment,
                           const std::function<Json(const std::string& path)>& missing);

// A value as TOML on one line. Numbers round-trip exactly.
std::string toml_text(const Json& value);

}  // namespace vila::tools
