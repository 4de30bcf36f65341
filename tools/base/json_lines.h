#pragma once

// JSON-lines files: one object a line, errors naming file and line.

#include <filesystem>
#include <functional>
#include <string>

#include "tensor/json.h"

namespace vila::tools {

// Calls `handle` with every object of the file and "FILE line N". Empty lines are skipped. Throws
// on a missing file, on a line that is no JSON object, and on a field that `handle` finds missing
// or of the wrong type.
void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<void(const Json& object, const std::string& where)>& handle);

// A field that is one string or a list of strings; empty when absent.
std::vector<std::string> string_or_list(const Json& object, const char* key);

}  // namespace vila::tools
