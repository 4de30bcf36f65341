#include "models/weight_files.h"

#include <set>

#include "models/json_fields.h"
#include "tensor/nearest_name.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

// A shard's name comes from a file: it must not lead anywhere else.
void check_plain_name(const std::string& name, const fs::path& index) {
    const bool plain = !name.empty() && name != "." && name != ".." &&
                       name.find('/') == std::string::npos && name.find('\\') == std::string::npos;
    VILA_CHECK(plain, index.string(), ": shard name ", json_quoted(name),
               " is not a plain file name");
}

}  // namespace

WeightFiles::WeightFiles(const fs::path& directory) : directory_(directory) {
    if (fs::exists(directory / kSingleFile)) {
        add(directory / kSingleFile);
        return;
    }
    const fs::path index = directory / kIndexFile;
    VILA_CHECK(fs::exists(index), directory.string(), ": holds neither ", kSingleFile, " nor ",
               kIndexFile);
    open_shards(index);
}

void WeightFiles::add(const fs::path& path) {
    files_.emplace_back(path);
    for (const std::string& name : files_.back().names()) {
        const bool is_new = file_by_name_.emplace(name, files_.size() - 1).second;
        VILA_CHECK(is_new, path.string(), ": tensor ", name, " is also in ",
                   file_of(name).string());
        names_.push_back(name);
    }
}

void WeightFiles::open_shards(const fs::path& index_path) {
    const Json json = read_json_file(index_path.string());
    const JsonFields fields(json, index_path.string());
    const Json& map = fields.raw("weight_map");
    if (!map.is_object()) fields.fail("weight_map", "an object");
    std::set<std::string> shards;
    for (const auto& [name, shard] : map.items()) {
        if (!shard.is_string()) fields.fail("weight_map", "an object of strings");
        check_plain_name(shard.get<std::string>(), index_path);
        shards.insert(shard.get<std::string>());
    }
    for (const std::string& shard : shards) add(directory_ / shard);
    for (const auto& [name, shard] : map.items())
        VILA_CHECK(
            file_by_name_.contains(name) && file_of(name).filename() == shard.get<std::string>(),
            index_path.string(), ": tensor ", name, " is not in ", shard.get<std::string>());
    VILA_CHECK_EQ(names_.size(), map.size(), index_path.string(), ": tensors in the shards");
}

Tensor WeightFiles::load(const std::string& name, Device& device) const {
    const auto found = file_by_name_.find(name);
    VILA_CHECK(found != file_by_name_.end(), directory_.string(), ": no tensor ", name,
               "; the nearest name is ", nearest_name(name, names_));
    return files_[found->second].load(name, device);
}

const fs::path& WeightFiles::file_of(const std::string& name) const {
    return files_[file_by_name_.at(name)].path();
}

void load_weights(const WeightFiles& files, const TensorNaming& naming, nn::ParameterTable& table,
                  Device& device, DType dtype) {
    std::map<std::string, std::string> tensor_of;  // parameter -> tensor
    std::vector<std::string> known;
    for (const nn::Parameter& parameter : table) known.push_back(parameter.name);
    for (const std::string& name : files.names()) {
        const std::string target = naming(name);
        if (target.empty()) continue;
        const std::string where = files.file_of(name).string();
        VILA_CHECK(table.find(target) != nullptr, where, ": tensor ", name,
                   " has no place in this model; the nearest weight is ",
                   nearest_name(target, known));
        const auto [before, is_new] = tensor_of.emplace(target, name);
        VILA_CHECK(is_new, where, ": tensors ", before->second, " and ", name, " are both weight ",
                   target);
    }
    for (const nn::Parameter& parameter : table) {
        const auto found = tensor_of.find(parameter.name);
        VILA_CHECK(found != tensor_of.end(), files.directory().string(), ": weight ",
                   parameter.name, " ", parameter.shape, " is missing");
        const Tensor value = files.load(found->second, device);
        VILA_CHECK(is_floating(value.dtype()), files.file_of(found->second).string(), ": tensor ",
                   found->second, " has dtype ", value.dtype(), ": expected a floating one");
        VILA_CHECK_EQ(value.shape(), parameter.shape, files.file_of(found->second).string(),
                      ": shape of tensor ", found->second, ", by the configuration ",
                      parameter.axes);
        table.assign(parameter.name, value, dtype, false);
    }
}

void save_weights(const fs::path& directory, const nn::ParameterTable& table, DType dtype) {
    NamedTensors tensors;
    for (const nn::Parameter& parameter : table)
        tensors.emplace_back(parameter.name, parameter.variable.value().to(dtype));
    write_safetensors(directory / kSingleFile, tensors);
}

}  // namespace vila::models
