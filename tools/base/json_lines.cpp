#include "tools/base/json_lines.h"

#include <fstream>

#include "tensor/check.h"

namespace vila::tools {

void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<void(const Json& object, const std::string& where)>& handle) {
    std::ifstream file(path);
    VILA_CHECK(file.good() && !std::filesystem::is_directory(path), path.string(),
               ": cannot be opened; expected a file of JSON lines");
    std::string line;
    for (int64_t number = 1; std::getline(file, line); ++number) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        const std::string where = str(path.string(), " line ", number);
        const Json object = parse_json(line, where);
        VILA_CHECK(object.is_object(), where, ": expected one JSON object, got ", shown(object));
        try {
            handle(object, where);
        } catch (const Json::exception& error) {
            throw Error(str(where, ": ", json_error_text(error)));
        }
    }
}

std::vector<std::string> string_or_list(const Json& object, const char* key) {
    if (!object.contains(key)) return {};
    const Json& value = object[key];
    if (value.is_array()) return value.get<std::vector<std::string>>();
    if (value.is_string()) return {value.get<std::string>()};
    // Some datasets have numbers as answers.
    return {value.dump()};
}

}  // namespace vila::tools
