#pragma once

// JSON-lines files: one object per line, with errors that name the file and the line.

#include <filesystem>
#include <functional>
#include <string>

#include "tensor/json.h"

namespace vila::tools {

// Calls `handle` with every object of the file and with `where`, "FILE line N". Skips empty lines.
// Throws for a missing file, for a line that is not a JSON object, and for a field that `handle`
// finds missing or of the wrong type.
void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<void(const Json& object, const std::string& where)>& handle);

// Returns a field that is one string or a list of strings as a list; empty if the field is absent.
// Any other value becomes a string that holds its JSON.
std::vector<std::string> string_or_list(const Json& object, const char* key);

}  // namespace vila::tools
