#include "tools/base/model_template.h"

#include <algorithm>

#include "tensor/check.h"
#include "tensor/json_fields.h"
#include "tensor/name_list.h"
#include "tensor/path_kind.h"
#include "tools/base/output.h"
#include "tools/base/text_input.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxTemplateBytes = size_t{1} << 20;

// Makes a chat template from one that was published with a language model.
data::ChatTemplate published(std::shared_ptr<data::JinjaChat> chat,
                             const data::TokenizerFiles& files, const fs::path& llm,
                             std::optional<int32_t> image_token) {
    if (image_token && !files.empty() && !chat->image_marker().empty() && !chat->places_images())
        chat->set_image_token(data::make_tokenizer(files, llm.string())->token(*image_token));
    return data::ChatTemplate(std::move(chat));
}

}  // namespace

data::ChatTemplate model_template(const models::ModelDirectory& directory,
                                  const models::VilaConfig& config) {
    if (!config.chat_template.empty()) return data::ChatTemplate::named(config.chat_template);
    const fs::path llm = directory.files_of(models::Part::Llm);
    const data::TokenizerFiles files = data::read_tokenizer_files(llm);
    if (auto chat = data::JinjaChat::from_files(files, llm.string()))
        return published(std::move(chat), files, llm, image_token_id(directory));
    return data::ChatTemplate::named(config.fallback_template);
}

bool is_template_name(const std::string& name) {
    const std::vector<std::string> names = data::ChatTemplate::names();
    return std::find(names.begin(), names.end(), name) != names.end();
}

data::ChatTemplate find_template(const std::string& name, const models::ModelDirectory& directory) {
    if (is_template_name(name)) return data::ChatTemplate::named(name);
    return read_template(name, directory.files_of(models::Part::Llm), image_token_id(directory));
}

data::ChatTemplate read_template(const std::string& file, const fs::path& llm,
                                 std::optional<int32_t> image_token) {
    const bool is_file = is_standard_stream(file) || (path_exists(file) && !directory_exists(file));
    VILA_CHECK(is_file, "no chat template \"", file, "\": expected ",
               name_list(data::ChatTemplate::names()), ", or a file with Jinja source");
    const std::string source = read_text(file), shown = input_name(file);
    VILA_CHECK(source.size() <= kMaxTemplateBytes, shown, ": ", source.size(),
               " bytes: expected at most ", kMaxTemplateBytes);
    data::TokenizerFiles files;
    if (!llm.empty()) files = data::read_tokenizer_files(llm);
    return published(data::JinjaChat::from_source(source, shown, files, llm.string()), files, llm,
                     image_token);
}

std::optional<int32_t> image_token_id(const models::ModelDirectory& directory) {
    const models::SourcedJson join = directory.layout().join_config();
    for (const char* field : {"image_token_index", "image_token_id"}) {
        if (!join.json.contains(field) || join.json.at(field).is_null()) continue;
        const int64_t id = JsonFields(join.json, join.where).integer(field, 0, 0);
        VILA_CHECK(id <= INT32_MAX, join.where, ": field ", field, ": ", id, " is no token id");
        return static_cast<int32_t>(id);
    }
    return std::nullopt;
}

}  // namespace vila::tools
