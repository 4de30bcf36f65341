#include "tools/train/finished_model.h"

#include <algorithm>

#include "models/layout.h"
#include "models/weight_files.h"
#include "tensor/check.h"
#include "tensor/path_kind.h"

namespace vila::tools {

namespace fs = std::filesystem;

std::vector<std::string> files_below(const fs::path& folder) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (!entry.is_directory())
            files.push_back(entry.path().lexically_relative(folder).string());
    std::sort(files.begin(), files.end());
    return files;
}

std::string model_damage(const fs::path& model, const std::vector<std::string>& files) {
    for (const std::string& file : files)
        if (!path_exists(model / file)) return file + " is missing";
    try {
        const Json config = models::read_config_file(model).json;
        const auto parts = config.find("parts");
        VILA_CHECK(parts != config.end() && parts->is_array() && !parts->empty(),
                   "config.json lists no parts");
        for (const Json& part : *parts) {
            const fs::path folder = model / part.get<std::string>();
            models::read_config_file(folder);
            const models::WeightFiles opened(folder);
        }
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

}  // namespace vila::tools
