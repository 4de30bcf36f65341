#include "tools/train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <limits>
#include <memory>
#include <new>
#include <thread>

#include "dist/agree.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/random.h"
#include "tools/base/hash64.h"
#include "tools/train/checkpoint_format.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// A run asks for this much more disk space than its checkpoints take.
constexpr double kSpaceMargin = 1.1;

// Returns a text that distinguishes the directory of this save from those of killed processes.
std::string nonce() {
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    return hash_text(random_key(static_cast<uint64_t>(now), static_cast<uint64_t>(::getpid())));
}

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
        // A directory of this step exists only if the run was resumed from an older checkpoint.
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
        if (result == LoadResult::Good) return checkpoint;
        if (result == LoadResult::NoMemory)
            throw dist::AgreedError(
                str("checkpoint ", step_name(newest), " could not be loaded (", reason, ")"));
        if (first_rank())
            warn_(str("checkpoint ", step_name(newest),
                      result == LoadResult::Damaged ? " is damaged (" : " cannot be read (", reason,
                      "); trying the next older one"));
        if (first_reason.empty()) first_reason = reason;
        below = newest;
        if (result == LoadResult::Unreadable) continue;
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
