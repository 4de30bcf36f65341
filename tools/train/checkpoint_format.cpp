#include "tools/train/checkpoint_format.h"

#include <cstdio>
#include <map>

#include "tensor/file.h"
#include "tools/base/hash64.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

Json shape_json(const Shape& shape) {
    return std::vector<int64_t>(shape.begin(), shape.end());
}

}  // namespace

std::string set_aside(const fs::path& path, const char* why) {
    fs::path aside = str(path.string(), ".", why);
    for (int attempt = 1; fs::exists(fs::symlink_status(aside)); ++attempt)
        aside = str(path.string(), ".", why, "-", attempt);
    fs::rename(path, aside);
    return aside.filename().string();
}

std::string step_name(int64_t step) {
    char name[32];
    std::snprintf(name, sizeof(name), "step-%08lld", static_cast<long long>(step));
    return name;
}

std::optional<int64_t> step_of(const std::string& name) {
    if (!name.starts_with("step-") || name.size() < 13) return std::nullopt;
    const std::string digits = name.substr(5);
    if (digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
        return std::nullopt;
    const int64_t step = std::stoll(digits);
    return step_name(step) == name ? std::optional(step) : std::nullopt;
}

std::string payload_name(int64_t rank) {
    char name[40];
    std::snprintf(name, sizeof(name), "rank-%05lld.safetensors", static_cast<long long>(rank));
    return name;
}

bool is_payload_name(const std::string& name) {
    long long rank = -1;
    return std::sscanf(name.c_str(), "rank-%lld", &rank) == 1 && rank >= 0 &&
           payload_name(rank) == name;
}

std::string manifest_text(Json manifest) {
    manifest.erase("hash");
    const std::string body = manifest.dump();
    manifest["hash"] = hash_text(hash64(body.data(), static_cast<int64_t>(body.size())));
    return manifest.dump(1);
}

Json read_manifest(const fs::path& path) {
    const std::string text = read_file(path, int64_t{1} << 30);
    const Json manifest = parse_json(text, path.string());
    VILA_CHECK(manifest.is_object() && manifest.contains("hash"), path.string(),
               ": not a checkpoint manifest");
    VILA_CHECK(manifest_text(manifest) == text, path.string(), ": its hash does not agree");
    const int version = manifest.at("version").get<int>();
    VILA_CHECK(version >= 1 && version <= kFormatVersion, path.string(), ": format version ",
               version, ", expected 1 to ", kFormatVersion);
    return manifest;
}

Json write_parts(const fs::path& directory, const std::string& file,
                 const std::vector<TensorPart>& parts) {
    NamedTensors tensors;
    for (const TensorPart& part : parts) tensors.emplace_back(part.name, part.values);
    write_safetensors(directory / file, tensors);
    Json table = {
        {"file",
         {{"name", file}, {"bytes", static_cast<int64_t>(fs::file_size(directory / file))}}},
        {"tensors", Json::array()}};
    for (const TensorPart& part : parts)
        table["tensors"].push_back({{"name", part.name},
                                    {"dtype", dtype_name(part.values.dtype())},
                                    {"shape", shape_json(part.shape)},
                                    {"begin", part.begin},
                                    {"values", part.values.numel()},
                                    {"hash", hash_text(hash64(part.values))}});
    return table;
}

void add_tables(const std::vector<std::string>& tables, Json& manifest) {
    std::map<std::string, size_t> places;
    Json& tensors = manifest["tensors"] = Json::array();
    manifest["files"] = Json::array();
    for (const std::string& text : tables) {
        const Json table = parse_json(text, "the table of a rank");
        manifest["files"].push_back(table.at("file"));
        for (const Json& part : table.at("tensors")) {
            const auto [place, is_new] = places.emplace(part.at("name"), tensors.size());
            if (is_new)
                tensors.push_back({{"name", part.at("name")},
                                   {"dtype", part.at("dtype")},
                                   {"shape", part.at("shape")},
                                   {"parts", Json::array()}});
            tensors[place->second]["parts"].push_back({{"file", table.at("file").at("name")},
                                                       {"begin", part.at("begin")},
                                                       {"values", part.at("values")},
                                                       {"hash", part.at("hash")}});
        }
    }
}

}  // namespace vila::tools
