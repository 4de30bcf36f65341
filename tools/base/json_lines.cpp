#include "tools/base/json_lines.h"

#include "data/records/json_record.h"
#include "data/records/text_file.h"
#include "tensor/check.h"
#include "tools/base/text_input.h"

namespace vila::tools {

void for_each_json_line(
    const std::filesystem::path& path,
    const std::function<void(const Json& object, const std::string& where)>& handle) {
    LineReader lines(path);
    bool is_first = true;
    for (std::string line; lines.next(line); is_first = false) {
        if (is_first) {
            const std::string start = line.substr(0, data::kStartBytes), name = input_name(path);
            VILA_CHECK(!data::is_gzip(start), name,
                       " is compressed by gzip: unpack it with gunzip");
            data::check_is_text(start, name);
        }
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        const std::string where = lines.where();
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
    const Json* value = data::find_field(object, {key});
    if (value == nullptr) return {};
    // Some datasets have numbers as answers.
    const auto text_of = [&](const Json& item) {
        VILA_CHECK(item.is_string() || item.is_number() || item.is_boolean(), "field ", key,
                   ": expected a text or a list of texts, got ", shown(*value));
        return item.is_string() ? item.get<std::string>() : item.dump();
    };
    if (!value->is_array()) return {text_of(*value)};
    std::vector<std::string> texts;
    for (const Json& item : *value) texts.push_back(text_of(item));
    return texts;
}

std::string id_field(const Json& object, const char* key) {
    const Json& id = data::field(object, {key});
    VILA_CHECK(id.is_string() || id.is_number_integer(), "field \"", key,
               "\": expected a text or an integer, got ", shown(id));
    return id.is_string() ? id.get<std::string>() : id.dump();
}

std::vector<std::string> image_names(const Json& object) {
    const std::vector<std::string> one = string_or_list(object, "image");
    const std::vector<std::string> several = string_or_list(object, "images");
    VILA_CHECK(one.empty() || several.empty(),
               "images are named both in \"image\" and in \"images\": name them in one place");
    return one.empty() ? several : one;
}

}  // namespace vila::tools
