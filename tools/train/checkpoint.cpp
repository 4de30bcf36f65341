#include "tools/train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <memory>
#include <new>
#include <thread>

#include "dist/agree.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/temporary_name.h"
#include "tools/train/checkpoint_format.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// check_free_space() demands this many times the bytes of the checkpoints.
constexpr double kSpaceMargin = 1.1;

// Removes the temporary directory of a save, unless it was renamed.
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

// Whether a directory holds a checkpoint and nothing else.
bool is_only_checkpoint(const fs::path& path) {
    bool has_manifest = false;
    for (const auto& entry : fs::directory_iterator(path)) {
        const std::string name = entry.path().filename().string();
        has_manifest |= name == kManifest;
        const bool is_ours = name == kManifest || is_payload_name(name);
        if (!is_ours || !fs::is_regular_file(entry.symlink_status())) return false;
    }
    return has_manifest;
}

// Makes a directory under a temporary name beside `path`. If this process dies, the next start of
// the run knows the name from RUN/.lock and removes the directory.
fs::path temporary_directory(const fs::path& path) {
    const OpenDirectory made = make_temporary_directory(path);
    if (made.descriptor >= 0) ::close(made.descriptor);
    return made.path;
}

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
    std::vector<TensorPart> copies;  // in host memory: only the training thread uses a GPU
    std::string failure;
    std::atomic<bool> done = false;
    std::thread thread;  // joined by the destructor before the members are destroyed
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
    auto pending = std::make_unique<Pending>();
    pending->step = step;
    pending->info = info;
    std::string mine;
    dist::agree(*ranks_, [&] {
        if (!first_rank()) return;
        fs::create_directories(directory_);
        const fs::path making = temporary_directory(path_of(step));
        pending->unfinished.emplace(making);
        mine = making.filename().string();
    });
    pending->making = directory_ / dist::all_gather(*ranks_, mine).front();
    return pending;
}

// Writes the manifest, renames the directory to its final name, and removes old checkpoints.
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
        make_way(pending.step);
        fs::rename(pending.making, path_of(pending.step));
        good_.insert(pending.step);
        sync_directory(directory_);
        write_file_atomic(directory_ / "latest", step_name(pending.step) + "\n");
        remove_old(pending.step);
    });
}

// A checkpoint of this step exists already if it could not be read, or if its save failed after its
// directory got the name.
void CheckpointStore::make_way(int64_t step) {
    const fs::path place = path_of(step);
    if (!fs::exists(fs::symlink_status(place))) return;
    if (good_.contains(step))
        remove(step);
    else
        warn_(str("checkpoint ", step_name(step), " could not be read; it is now ",
                  set_aside(place, "unread")));
}

void CheckpointStore::remove_old(int64_t published) {
    const std::vector<int64_t> found = steps();
    int64_t kept = 0;
    std::string newer;
    for (auto step = found.rbegin(); step != found.rend(); ++step) {
        if (*step > published)
            newer += " " + step_name(*step);
        else if (kept >= keep_)
            remove(*step);
        else if (good_.contains(*step))
            ++kept;
    }
    if (!newer.empty())
        warn_once(str("checkpoints that could not be read are left as they are:", newer));
}

void CheckpointStore::remove(int64_t step) {
    const fs::path place = path_of(step);
    try {
        if (is_only_checkpoint(place)) {
            // Rename it first: if the process is killed now, no partly removed checkpoint keeps the
            // name.
            const fs::path removed = temporary_directory(place);
            fs::rename(place, removed);
            fs::remove_all(removed);
            return;
        }
        warn_once(str(place.string(), " is not removed: it holds other files than a checkpoint"));
    } catch (const std::exception& error) {
        warn_once(str(place.string(), " cannot be removed: ", error.what()));
    }
}

void CheckpointStore::warn_once(const std::string& line) {
    if (warnings_.insert(line).second) warn_(line);
}

CheckpointStore::LoadResult CheckpointStore::try_load(int64_t step, Device& device,
                                                      Checkpoint& checkpoint,
                                                      std::string& reason) const {
    LoadResult result = LoadResult::Good;
    const auto failed = [&](LoadResult failure, const std::exception& error) {
        result = failure;
        reason = error.what();
    };
    try {
        checkpoint = load(step, device);
    } catch (const std::bad_alloc& error) {
        failed(LoadResult::NoMemory, error);
    } catch (const OutOfMemory& error) {
        failed(LoadResult::NoMemory, error);
    } catch (const FileError& error) {
        // A missing file is damage; a file that the system cannot open or read may be good.
        failed(error.code() == ENOENT ? LoadResult::Damaged : LoadResult::Unreadable, error);
    } catch (const fs::filesystem_error& error) {
        failed(error.code().value() == ENOENT ? LoadResult::Damaged : LoadResult::Unreadable,
               error);
    } catch (const std::exception& error) {
        failed(LoadResult::Damaged, error);
    }
    // All ranks return the worst result, and the reason of the first rank that has it.
    const auto mine = static_cast<int64_t>(result);
    const int64_t worst = dist::largest(*ranks_, mine);
    if (worst == 0) return LoadResult::Good;
    for (const std::string& text :
         dist::all_gather(*ranks_, mine == worst ? reason : std::string()))
        if (!text.empty()) {
            reason = text;
            break;
        }
    return static_cast<LoadResult>(worst);
}

std::optional<Checkpoint> CheckpointStore::load_newest(Device& device) {
    std::string first_reason;
    std::vector<int64_t> damaged;
    int64_t below = std::numeric_limits<int64_t>::max();  // this step and later ones were tried
    while (true) {
        // Rank 0 lists the directory for all ranks.
        int64_t mine = -1;
        if (first_rank())
            for (const int64_t step : steps()) mine = step < below ? std::max(mine, step) : mine;
        const int64_t newest = dist::largest(*ranks_, mine);
        if (newest < 0) break;
        Checkpoint checkpoint;
        std::string reason;
        const LoadResult result = try_load(newest, device, checkpoint, reason);
        if (result == LoadResult::Good) {
            good_.insert(newest);
            dist::agree(*ranks_, [&] { set_aside_damaged(damaged); });
            return checkpoint;
        }
        if (result == LoadResult::NoMemory)
            throw dist::AgreedError(
                str("checkpoint ", step_name(newest), " could not be loaded (", reason, ")"));
        if (first_rank())
            warn_(str("checkpoint ", step_name(newest),
                      result == LoadResult::Damaged ? " is damaged (" : " cannot be read (", reason,
                      "); trying the next older one"));
        if (first_reason.empty()) first_reason = reason;
        if (result == LoadResult::Damaged) damaged.push_back(newest);
        below = newest;
    }
    if (!first_reason.empty())
        throw dist::AgreedError(str("no checkpoint in ", directory_.string(), " verifies (",
                                    first_reason,
                                    "); remove that folder and the log beside it to start again"));
    dist::agree(*ranks_, [&] { refuse_only_damaged(); });
    return std::nullopt;
}

void CheckpointStore::set_aside_damaged(const std::vector<int64_t>& steps) const {
    if (!first_rank()) return;
    for (const int64_t step : steps) set_aside(path_of(step), kDamaged);
}

void CheckpointStore::refuse_only_damaged() const {
    if (!first_rank() || !fs::exists(directory_)) return;
    for (const auto& entry : fs::directory_iterator(directory_)) {
        const fs::path& path = entry.path();
        VILA_CHECK(!path.extension().string().starts_with(str(".", kDamaged)) ||
                       !step_of(path.stem().string()),
                   directory_.string(), ": ", path.filename().string(),
                   " is there, but no good checkpoint; put one back, or remove that folder and the "
                   "log beside it to start again");
    }
}

Checkpoint CheckpointStore::load(int64_t step, Device& device) const {
    Checkpoint checkpoint = load_checkpoint(path_of(step), device, ranks_->rank(), ranks_->ranks());
    VILA_CHECK_EQ(checkpoint.step, step, path_of(step).string(), ": step");
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
