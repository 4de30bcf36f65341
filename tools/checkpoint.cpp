#include "tools/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "tensor/file.h"
#include "tensor/random.h"
#include "tools/hash64.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr int kFormatVersion = 1;
constexpr const char* kPayload = "rank-00000.safetensors";
constexpr const char* kManifest = "manifest.json";
// Room asked for before a run starts, beyond what the checkpoints themselves take.
constexpr double kSpaceMargin = 1.1;

std::string step_name(int64_t step) {
    char name[32];
    std::snprintf(name, sizeof(name), "step-%08lld", static_cast<long long>(step));
    return name;
}

// The step of a complete checkpoint's name; nothing for any other name.
std::optional<int64_t> step_of(const std::string& name) {
    if (!name.starts_with("step-") || name.size() < 13) return std::nullopt;
    const std::string digits = name.substr(5);
    if (digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
        return std::nullopt;
    const int64_t step = std::stoll(digits);
    return step_name(step) == name ? std::optional(step) : std::nullopt;
}

// Tells the directory of this save from those of others that died.
std::string nonce() {
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    return hash_text(random_key(static_cast<uint64_t>(now), static_cast<uint64_t>(::getpid())));
}

std::string manifest_text(Json manifest) {
    manifest.erase("hash");
    const std::string body = manifest.dump();
    manifest["hash"] = hash_text(hash64(body.data(), static_cast<int64_t>(body.size())));
    return manifest.dump(1);
}

Json read_manifest(const fs::path& path) {
    const std::string text = read_file(path, int64_t{1} << 30);
    const Json manifest = Json::parse(text, nullptr, false);
    VILA_CHECK(manifest.is_object() && manifest.contains("hash"), path.string(),
               ": not a checkpoint manifest");
    VILA_CHECK(manifest_text(manifest) == text, path.string(), ": its hash does not agree");
    VILA_CHECK_EQ(manifest.at("version").get<int>(), kFormatVersion, path.string(),
                  ": format version");
    return manifest;
}

// Removes a directory that is not wanted any more unless the save gets to its end.
class Unfinished {
  public:
    explicit Unfinished(fs::path path) : path_(std::move(path)) {}
    ~Unfinished() {
        std::error_code ignored;
        if (!finished_) fs::remove_all(path_, ignored);
    }
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;
    const fs::path& path() const { return path_; }
    void finished() { finished_ = true; }

  private:
    fs::path path_;
    bool finished_ = false;
};

std::string shape_text(const Shape& shape) {
    return Json(std::vector<int64_t>(shape.begin(), shape.end())).dump();
}

}  // namespace

CheckpointStore::CheckpointStore(fs::path directory, int64_t keep,
                                 std::function<void(const std::string& line)> warn)
    : directory_(std::move(directory)), keep_(keep), warn_(std::move(warn)) {
    VILA_CHECK(keep_ >= 2, "train.keep is ", keep_, ": at least 2 checkpoints must be kept");
}

fs::path CheckpointStore::path_of(int64_t step) const {
    return directory_ / step_name(step);
}

std::vector<int64_t> CheckpointStore::steps() const {
    std::vector<int64_t> found;
    if (!fs::exists(directory_)) return found;
    for (const auto& entry : fs::directory_iterator(directory_)) {
        const std::optional<int64_t> step = step_of(entry.path().filename().string());
        if (step && entry.is_directory()) found.push_back(*step);
    }
    std::sort(found.begin(), found.end());
    return found;
}

void CheckpointStore::remove_leftovers() {
    if (!fs::exists(directory_)) return;
    std::vector<fs::path> leftovers;
    for (const auto& entry : fs::directory_iterator(directory_)) {
        const std::string name = entry.path().filename().string();
        if (name.find(".tmp-") != std::string::npos) leftovers.push_back(entry.path());
    }
    for (const fs::path& leftover : leftovers) {
        warn_(str("removing ", leftover.string(), ", left by a save that did not finish"));
        fs::remove_all(leftover);
    }
}

void CheckpointStore::save(int64_t step, const NamedTensors& tensors, const Json& info) {
    fs::create_directories(directory_);
    Unfinished making(directory_ / (step_name(step) + ".tmp-" + nonce()));
    fs::create_directory(making.path());
    write_safetensors(making.path() / kPayload, tensors);

    Json manifest = {
        {"format", "vila checkpoint"}, {"version", kFormatVersion}, {"step", step}, {"ranks", 1},
        {"files", Json::array()},      {"tensors", Json::array()},  {"info", info}};
    manifest["files"].push_back(
        {{"name", kPayload},
         {"bytes", static_cast<int64_t>(fs::file_size(making.path() / kPayload))}});
    for (const auto& [name, tensor] : tensors)
        manifest["tensors"].push_back(
            {{"name", name},
             {"dtype", dtype_name(tensor.dtype())},
             {"shape", std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end())},
             {"file", kPayload},
             {"hash", hash_text(hash64(tensor))}});
    write_file_atomic(making.path() / kManifest, manifest_text(manifest));
    sync_directory(making.path());

    // A directory of this step can be there only if the run went back to an older one.
    fs::remove_all(path_of(step));
    fs::rename(making.path(), path_of(step));
    making.finished();
    sync_directory(directory_);
    write_file_atomic(directory_ / "latest", step_name(step) + "\n");
    remove_old();
}

void CheckpointStore::remove_old() const {
    const std::vector<int64_t> found = steps();
    for (size_t i = 0; i + static_cast<size_t>(keep_) < found.size(); ++i)
        fs::remove_all(path_of(found[i]));
}

std::optional<Checkpoint> CheckpointStore::load_newest(Device& device) {
    std::vector<int64_t> found = steps();
    if (found.empty()) return std::nullopt;
    std::string first_reason;
    for (; !found.empty(); found.pop_back()) {
        try {
            return load(found.back(), device);
        } catch (const std::exception& error) {
            warn_(str("checkpoint ", step_name(found.back()), " is damaged (", error.what(),
                      "); trying the next older one"));
            if (first_reason.empty()) first_reason = error.what();
            const fs::path aside = path_of(found.back()).string() + ".damaged";
            fs::remove_all(aside);
            fs::rename(path_of(found.back()), aside);
        }
    }
    throw Error(str("no checkpoint in ", directory_.string(), " verifies (", first_reason,
                    "); remove that folder to start again"));
}

Checkpoint CheckpointStore::load(int64_t step, Device& device) const {
    Checkpoint checkpoint = load_checkpoint(path_of(step), device);
    VILA_CHECK_EQ(checkpoint.step, step, path_of(step).string(), ": step");
    return checkpoint;
}

Checkpoint load_checkpoint(const fs::path& path, Device& device) {
    const Json manifest = read_manifest(path / kManifest);
    const auto file = std::make_shared<SafetensorsFile>(path / kPayload);
    for (const Json& entry : manifest.at("tensors")) {
        const std::string name = entry.at("name");
        const Tensor tensor = file->load(name, device);
        VILA_CHECK(dtype_name(tensor.dtype()) == entry.at("dtype").get<std::string>() &&
                       shape_text(tensor.shape()) == entry.at("shape").dump(),
                   file->path().string(), ": tensor ", name, ": dtype or shape does not agree");
        VILA_CHECK(hash_text(hash64(tensor)) == entry.at("hash").get<std::string>(),
                   file->path().string(), ": tensor ", name, ": its hash does not agree");
    }
    Checkpoint checkpoint{
        .step = manifest.at("step").get<int64_t>(), .tensor = {}, .info = manifest.at("info")};
    checkpoint.tensor = [file, &device](const std::string& name) {
        return file->load(name, device);
    };
    return checkpoint;
}

void check_free_space(const fs::path& directory, int64_t checkpoint_bytes, int64_t copies) {
    const auto needed = static_cast<int64_t>(kSpaceMargin * static_cast<double>(checkpoint_bytes) *
                                             static_cast<double>(copies));
    const auto available = static_cast<int64_t>(fs::space(directory).available);
    VILA_CHECK(available >= needed, directory.string(), ": ", available / 1000000,
               " MB are free, but ", copies, " checkpoints of ", checkpoint_bytes / 1000000,
               " MB need ", needed / 1000000,
               " MB; free some space, choose another --out, or give --no-space-check");
}

}  // namespace vila::tools
