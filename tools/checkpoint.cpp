#include "tools/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <thread>

#include "dist/agree.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/random.h"
#include "tools/hash64.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// Version 1 knew whole tensors only.
constexpr int kFormatVersion = 2;
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
    const int version = manifest.at("version").get<int>();
    VILA_CHECK(version >= 1 && version <= kFormatVersion, path.string(), ": format version ",
               version, ", expected 1 to ", kFormatVersion);
    return manifest;
}

std::string payload_name(int64_t rank) {
    char name[40];
    std::snprintf(name, sizeof(name), "rank-%05lld.safetensors", static_cast<long long>(rank));
    return name;
}

// Removes the directory of a save that did not get so far as to rename it.
class Unfinished {
  public:
    explicit Unfinished(fs::path path) : path_(std::move(path)) {}
    ~Unfinished() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;

  private:
    fs::path path_;
};

Json shape_json(const Shape& shape) {
    return std::vector<int64_t>(shape.begin(), shape.end());
}

// Writes one rank's file; returns its part of the manifest.
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

// The tables of all ranks as those of a manifest.
void add_tables(const std::vector<std::string>& tables, Json& manifest) {
    std::map<std::string, size_t> places;
    Json& tensors = manifest["tensors"] = Json::array();
    manifest["files"] = Json::array();
    for (const std::string& text : tables) {
        const Json table = Json::parse(text);
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

// The files of a checkpoint behind its table of tensors.
class CheckpointFiles {
  public:
    CheckpointFiles(const fs::path& directory, const Json& manifest, Device& device)
        : device_(device) {
        for (const Json& file : manifest.at("files"))
            open(directory, file.at("name").get<std::string>(), file.at("bytes").get<int64_t>());
        for (const Json& entry : manifest.at("tensors")) add(entry);
    }

    // Compares part number `share` + i * `shares` of every file with its hash.
    void verify(int64_t share, int64_t shares) const {
        int64_t number = 0;
        for (const auto& [name, entry] : entries_)
            for (const Part& part : entry.parts)
                if (number++ % shares == share) verify(name, entry, part);
    }

    Tensor tensor(const std::string& name) const {
        const Entry& entry = at(name);
        const Tensor whole = Tensor::empty(device_, entry.shape, dtype_from_name(entry.dtype));
        read({.name = name, .shape = entry.shape, .begin = 0, .values = whole});
        return whole;
    }

    void read(const TensorPart& wanted) const {
        const Entry& entry = at(wanted.name);
        VILA_CHECK_EQ(entry.shape, wanted.shape, "shape of ", wanted.name, " in the checkpoint");
        VILA_CHECK(dtype_name(wanted.values.dtype()) == entry.dtype, "the checkpoint has ",
                   wanted.name, " as ", entry.dtype, ", expected ", wanted.values.dtype());
        const Tensor out = wanted.values.reshape({wanted.values.numel()});
        const int64_t wanted_end = wanted.begin + out.numel();
        for (const Part& part : entry.parts) {
            const int64_t begin = std::max(part.begin, wanted.begin);
            const int64_t end = std::min(part.begin + part.count, wanted_end);
            if (begin >= end) continue;
            const Tensor values = part.file->load(wanted.name, out.device()).reshape({part.count});
            out.slice(0, begin - wanted.begin, end - wanted.begin)
                .copy_from(values.slice(0, begin - part.begin, end - part.begin));
        }
    }

  private:
    struct Part {
        const SafetensorsFile* file;
        int64_t begin, count;
        std::string hash;
    };
    struct Entry {
        std::string dtype;
        Shape shape;
        std::vector<Part> parts;
    };

    void open(const fs::path& directory, const std::string& name, int64_t bytes) {
        VILA_CHECK(fs::path(name).filename() == name, directory.string(), ": file name '", name,
                   "' in the manifest");
        const auto file = std::make_shared<SafetensorsFile>(directory / name);
        VILA_CHECK_EQ(static_cast<int64_t>(fs::file_size(file->path())), bytes,
                      file->path().string(), ": bytes");
        files_[name] = file;
    }

    void add(const Json& json) {
        const std::string name = json.at("name");
        Entry entry{.dtype = json.at("dtype"),
                    .shape = Shape(json.at("shape").get<std::vector<int64_t>>()),
                    .parts = {}};
        const auto add_part = [&](const Json& part, int64_t begin, int64_t count) {
            const auto file = files_.find(part.at("file").get<std::string>());
            VILA_CHECK(file != files_.end(), "tensor ", name, ": its file ", part.at("file").dump(),
                       " is not in the manifest");
            entry.parts.push_back({file->second.get(), begin, count, part.at("hash")});
        };
        if (json.contains("parts"))
            for (const Json& part : json.at("parts"))
                add_part(part, part.at("begin").get<int64_t>(), part.at("values").get<int64_t>());
        else
            add_part(json, 0, entry.shape.numel());
        std::sort(entry.parts.begin(), entry.parts.end(),
                  [](const Part& a, const Part& b) { return a.begin < b.begin; });
        int64_t known = 0;
        for (const Part& part : entry.parts) {
            VILA_CHECK(part.begin == known && part.count >= 0, "tensor ", name, ": values from ",
                       known, " on are missing or twice in the manifest");
            known += part.count;
        }
        VILA_CHECK_EQ(known, entry.shape.numel(), "tensor ", name, ": values in the manifest");
        entries_[name] = std::move(entry);
    }

    void verify(const std::string& name, const Entry& entry, const Part& part) const {
        const std::string file = part.file->path().string();
        const Tensor values = part.file->load(name, device_);
        VILA_CHECK(dtype_name(values.dtype()) == entry.dtype && values.numel() == part.count, file,
                   ": tensor ", name, ": dtype or shape does not agree");
        VILA_CHECK(hash_text(hash64(values)) == part.hash, file, ": tensor ", name,
                   ": its hash does not agree");
    }

    const Entry& at(const std::string& name) const {
        const auto found = entries_.find(name);
        VILA_CHECK(found != entries_.end(), "the checkpoint has no tensor ", name);
        return found->second;
    }

    Device& device_;
    std::map<std::string, std::shared_ptr<SafetensorsFile>> files_;
    std::map<std::string, Entry> entries_;
};

}  // namespace

struct CheckpointStore::Pending {
    Pending() = default;
    ~Pending() {
        if (thread.joinable()) thread.join();
    }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

    void write(const std::string& file, const std::vector<TensorPart>& parts) {
        table = write_parts(making, file, parts).dump();
    }

    int64_t step = 0;
    Json info;
    fs::path making;
    std::optional<Unfinished> unfinished;  // on rank 0
    std::string table;                     // this rank's part of the manifest
    std::unique_ptr<CpuDevice> host = make_cpu_device(1);
    std::vector<TensorPart> copies;  // on the host: a GPU belongs to the thread that trains
    std::string failure;
    std::atomic<bool> done = false;
    std::thread thread;  // last: it ends before the rest goes
};

std::vector<TensorPart> whole_tensors(const NamedTensors& tensors) {
    std::vector<TensorPart> parts;
    for (const auto& [name, tensor] : tensors) parts.push_back({name, tensor.shape(), 0, tensor});
    return parts;
}

CheckpointStore::CheckpointStore(fs::path directory, int64_t keep,
                                 std::function<void(const std::string& line)> warn,
                                 dist::Collectives* ranks)
    : directory_(std::move(directory)),
      keep_(keep),
      warn_(std::move(warn)),
      alone_(ranks == nullptr ? dist::one_process() : nullptr),
      ranks_(ranks == nullptr ? alone_.get() : ranks) {
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
    dist::agree(*ranks_, [&] {
        if (!first_rank() || !fs::exists(directory_)) return;
        std::vector<fs::path> leftovers;
        for (const auto& entry : fs::directory_iterator(directory_)) {
            const std::string name = entry.path().filename().string();
            if (name.find(".tmp-") != std::string::npos) leftovers.push_back(entry.path());
        }
        for (const fs::path& leftover : leftovers) {
            warn_(str("removing ", leftover.string(), ", left by a save that did not finish"));
            fs::remove_all(leftover);
        }
    });
}

void CheckpointStore::save(int64_t step, const NamedTensors& tensors, const Json& info) {
    save(step, whole_tensors(tensors), info);
}

void CheckpointStore::save(int64_t step, const std::vector<TensorPart>& parts, const Json& info) {
    const std::unique_ptr<Pending> pending = open_save(step, info);
    dist::agree(*ranks_, [&] { pending->write(payload_name(ranks_->rank()), parts); });
    publish(*pending, pending->table);
}

void CheckpointStore::begin_save(int64_t step, const std::vector<TensorPart>& parts,
                                 const Json& info) {
    VILA_ASSERT(!saving());
    std::unique_ptr<Pending> pending = open_save(step, info);
    dist::agree(*ranks_, [&] {
        for (const TensorPart& part : parts)
            pending->copies.push_back(
                {part.name, part.shape, part.begin, part.values.to(*pending->host)});
    });
    pending_ = std::move(pending);
    pending_->thread = std::thread([&save = *pending_, file = payload_name(ranks_->rank())] {
        try {
            save.write(file, save.copies);
        } catch (const std::exception& error) {
            save.failure = error.what();
        }
        save.done = true;
    });
}

bool CheckpointStore::written() const {
    return pending_ != nullptr && pending_->done;
}

void CheckpointStore::finish_save() {
    VILA_ASSERT(saving());
    const std::unique_ptr<Pending> pending = std::move(pending_);
    pending->thread.join();
    pending->copies.clear();
    dist::agree(*ranks_, [&] {
        if (!pending->failure.empty()) throw Error(pending->failure);
    });
    publish(*pending, pending->table);
}

CheckpointStore::~CheckpointStore() = default;

std::unique_ptr<CheckpointStore::Pending> CheckpointStore::open_save(int64_t step,
                                                                     const Json& info) {
    const std::string mine = first_rank() ? step_name(step) + ".tmp-" + nonce() : std::string();
    auto pending = std::make_unique<Pending>();
    pending->step = step;
    pending->info = info;
    pending->making = directory_ / dist::all_gather(*ranks_, mine).front();
    dist::agree(*ranks_, [&] {
        if (!first_rank()) return;
        fs::create_directories(directory_);
        fs::create_directory(pending->making);
        pending->unfinished.emplace(pending->making);
    });
    return pending;
}

// Writes the manifest, gives the directory its name, and lets old checkpoints go.
void CheckpointStore::publish(const Pending& pending, const std::string& table) {
    const std::vector<std::string> tables = dist::all_gather(*ranks_, table);
    dist::agree(*ranks_, [&] {
        if (!first_rank()) return;
        Json manifest = {{"format", "vila checkpoint"},
                         {"version", kFormatVersion},
                         {"step", pending.step},
                         {"ranks", ranks_->ranks()}};
        add_tables(tables, manifest);
        manifest["info"] = pending.info;
        write_file_atomic(pending.making / kManifest, manifest_text(manifest));
        sync_directory(pending.making);
        // A directory of this step can be there only if the run went back to an older one.
        const fs::path place = path_of(pending.step);
        fs::remove_all(place);
        fs::rename(pending.making, place);
        sync_directory(directory_);
        write_file_atomic(directory_ / "latest", step_name(pending.step) + "\n");
        remove_old();
    });
}

void CheckpointStore::remove_old() const {
    const std::vector<int64_t> found = steps();
    for (size_t i = 0; i + static_cast<size_t>(keep_) < found.size(); ++i)
        fs::remove_all(path_of(found[i]));
}

CheckpointStore::Fate CheckpointStore::try_load(int64_t step, Device& device,
                                                Checkpoint& checkpoint, std::string& reason) const {
    Fate fate = Fate::Good;
    const auto failed = [&](Fate what, const std::exception& error) {
        fate = what;
        reason = error.what();
    };
    try {
        checkpoint = load(step, device);
    } catch (const std::bad_alloc& error) {
        failed(Fate::NoMemory, error);
    } catch (const OutOfMemory& error) {
        failed(Fate::NoMemory, error);
    } catch (const FileError& error) {
        // A file that is not there is damage; one that the system does not give may be good.
        failed(error.code() == ENOENT ? Fate::Damaged : Fate::Unreadable, error);
    } catch (const fs::filesystem_error& error) {
        failed(error.code().value() == ENOENT ? Fate::Damaged : Fate::Unreadable, error);
    } catch (const std::exception& error) {
        failed(Fate::Damaged, error);
    }
    // The worst of any rank, and the reason of the first rank that has it.
    const auto mine = static_cast<int64_t>(fate);
    const int64_t worst = dist::largest(*ranks_, mine);
    if (worst == 0) return Fate::Good;
    for (const std::string& text :
         dist::all_gather(*ranks_, mine == worst ? reason : std::string()))
        if (!text.empty()) {
            reason = text;
            break;
        }
    return static_cast<Fate>(worst);
}

std::optional<Checkpoint> CheckpointStore::load_newest(Device& device) {
    std::string first_reason;
    int64_t below = std::numeric_limits<int64_t>::max();  // all from here on were tried
    while (true) {
        // Rank 0 looks for all.
        int64_t mine = -1;
        if (first_rank())
            for (const int64_t step : steps()) mine = step < below ? std::max(mine, step) : mine;
        const int64_t newest = dist::largest(*ranks_, mine);
        if (newest < 0) break;
        Checkpoint checkpoint;
        std::string reason;
        const Fate fate = try_load(newest, device, checkpoint, reason);
        if (fate == Fate::Good) return checkpoint;
        if (fate == Fate::NoMemory)
            throw dist::AgreedError(
                str("checkpoint ", step_name(newest), " could not be loaded (", reason, ")"));
        if (first_rank())
            warn_(str("checkpoint ", step_name(newest),
                      fate == Fate::Damaged ? " is damaged (" : " cannot be read (", reason,
                      "); trying the next older one"));
        if (first_reason.empty()) first_reason = reason;
        below = newest;
        if (fate == Fate::Unreadable) continue;
        dist::agree(*ranks_, [&] {
            if (!first_rank()) return;
            const fs::path aside = path_of(newest).string() + ".damaged";
            fs::remove_all(aside);
            fs::rename(path_of(newest), aside);
        });
    }
    if (first_reason.empty()) return std::nullopt;
    throw dist::AgreedError(str("no checkpoint in ", directory_.string(), " verifies (",
                                first_reason, "); remove that folder to start again"));
}

Checkpoint CheckpointStore::load(int64_t step, Device& device) const {
    Checkpoint checkpoint = load_checkpoint(path_of(step), device, ranks_->rank(), ranks_->ranks());
    VILA_CHECK_EQ(checkpoint.step, step, path_of(step).string(), ": step");
    return checkpoint;
}

Checkpoint load_checkpoint(const fs::path& path, Device& device, int64_t reader, int64_t readers) {
    const Json manifest = read_manifest(path / kManifest);
    const auto files = std::make_shared<CheckpointFiles>(path, manifest, device);
    files->verify(reader, readers);
    return {.step = manifest.at("step").get<int64_t>(),
            .tensor = [files](const std::string& name) { return files->tensor(name); },
            .read = [files](const TensorPart& part) { files->read(part); },
            .info = manifest.at("info")};
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
