#include "models/weight_files.h"

#include <set>

#include "tensor/json_fields.h"
#include "tensor/nearest_name.h"
#include "tensor/path_kind.h"
#include "tensor/safetensors.h"

namespace vila::models {

namespace fs = std::filesystem;

namespace {

// The files that a directory may hold, in the order of preference.
struct Candidate {
    const char* name;
    bool is_index;
};
constexpr Candidate kCandidates[] = {
    {kWeightsFile, false},
    {"model.safetensors.index.json", true},
    {"pytorch_model.bin", false},
    {"pytorch_model.bin.index.json", true},
};

// A shard's name is untrusted input. It must not lead out of the directory.
void check_plain_name(const std::string& name, const fs::path& index) {
    const bool plain = !name.empty() && name != "." && name != ".." &&
                       name.find('/') == std::string::npos &&
                       name.find('\\') == std::string::npos && name == one_line(name);
    VILA_CHECK(plain, index.string(), ": shard name ", json_quoted(name),
               " is not a plain file name");
}

}  // namespace

WeightFiles::WeightFiles(const fs::path& path) : path_(path) {
    if (file_exists(path)) {
        add(path);
        return;
    }
    std::string expected;
    for (const Candidate& candidate : kCandidates) {
        const fs::path file = path / candidate.name;
        expected += str(expected.empty() ? "" : ", ", candidate.name);
        if (!path_exists(file)) continue;
        if (candidate.is_index) {
            open_shards(file);
        } else {
            add(file);
        }
        return;
    }
    throw Error(str(path.string(), ": holds no weights; expected one of ", expected));
}

bool WeightFiles::present(const fs::path& directory) {
    for (const Candidate& candidate : kCandidates)
        if (path_exists(directory / candidate.name)) return true;
    return false;
}

void WeightFiles::add(const fs::path& path) {
    files_.push_back(open_tensor_file(path));
    for (const std::string& name : files_.back()->names()) {
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
    for (const std::string& shard : shards) add(path_ / shard);
    for (const auto& [name, shard] : map.items())
        VILA_CHECK(
            file_by_name_.contains(name) && file_of(name).filename() == shard.get<std::string>(),
            index_path.string(), ": tensor ", name, " is not in ", shard.get<std::string>());
    for (const std::string& name : names_)
        VILA_CHECK(map.contains(name), index_path.string(), ": weight_map lacks tensor ", name,
                   " of ", file_of(name).filename().string());
}

const TensorFile& WeightFiles::file_with(const std::string& name) const {
    const auto found = file_by_name_.find(name);
    VILA_CHECK(found != file_by_name_.end(), path_.string(), ": no tensor ", name,
               "; the nearest name is ", nearest_name(name, names_));
    return *files_[found->second];
}

void save_weights(const fs::path& directory, const nn::ParameterTable& table, DType dtype) {
    NamedTensors tensors;
    for (const nn::Parameter& parameter : table)
        tensors.emplace_back(parameter.name, parameter.float_value("saving").to(dtype));
    write_safetensors(directory / kWeightsFile, tensors);
}

}  // namespace vila::models
