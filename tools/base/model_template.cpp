#include "tools/base/model_template.h"

#include <algorithm>

#include "models/model_directory.h"
#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/name_list.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMaxTemplateBytes = int64_t{1} << 20;

}  // namespace

data::ChatTemplate model_template(const fs::path& directory, const models::VilaConfig& config) {
    if (!config.chat_template.empty()) return data::ChatTemplate::named(config.chat_template);
    const fs::path llm = models::llm_directory(directory);
    if (const auto published =
            data::JinjaChat::from_files(data::read_tokenizer_files(llm), llm.string()))
        return data::ChatTemplate(published);
    return data::ChatTemplate::named(config.fallback_template);
}

data::ChatTemplate find_template(const std::string& name, const fs::path& directory) {
    const std::vector<std::string> names = data::ChatTemplate::names();
    if (std::find(names.begin(), names.end(), name) != names.end())
        return data::ChatTemplate::named(name);
    VILA_CHECK(fs::is_regular_file(name), "no chat template \"", name, "\": expected ",
               name_list(names), ", or a file with Jinja source");
    const fs::path llm = models::llm_directory(directory);
    return data::ChatTemplate(data::JinjaChat::from_source(
        read_file(name, kMaxTemplateBytes), name, data::read_tokenizer_files(llm), llm.string()));
}

}  // namespace vila::tools
