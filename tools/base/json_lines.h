#pragma once

// JSON-lines files: one object per line, with errors that name the file and the line.

#include <filesystem>
#include <functional>
#include <string>

#include "tensor/check.h"
#include "tensor/json.h"

namespace vila::tools {

// Calls `handle` with every object of the file, or of standard input for "-", and with `where`:
// "FILE line N" or "standard input line N". Skips empty lines. Throws for a missing file, for a
// file that is not text (an archive, UTF-16) and for a line that is not a JSON object, and for a
// field that `handle` finds missing or of the wrong type. at_line() is for its other errors.
void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<void(const Json& object, const std::string& where)>& handle);

// Returns the result of `read`. Puts `where` in front of its errors.
template <typename Read>
auto at_line(const std::string& where, const Read& read) {
    try {
        return read();
    } catch (const Error& error) {
        throw Error(where + ": " + error.what());
    }
}

// Returns an id, which is a text or an integer, as text. Throws if it is missing.
std::string id_field(const Json& object, const char* key);

// Returns the names in the field "image" or "images". Throws if both have names.
std::vector<std::string> image_names(const Json& object);

// Returns the texts of a field that holds one value or a list of values; empty if the field is
// absent, null, NaN or infinite. A value that is not a string is returned as JSON text. Throws for
// a null in a list.
std::vector<std::string> string_or_list(const Json& object, const char* key);

}  // namespace vila::tools
