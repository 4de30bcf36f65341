#pragma once

// Checkpoints that survive being killed, a full disk and a power cut.
//
// DIR/step-00000100/ holds
//     rank-00000.safetensors   the tensors of rank 0: whole ones, or contiguous ranges of values
//     manifest.json            written last: the step; the size of every file; dtype, shape and
//                              parts of every tensor (file, first value, number of values, 64-bit
//                              hash); `info`; and a hash of all these fields
//
// Saving: each rank writes its file into step-00000100.tmp-NONCE. When all have succeeded, rank 0
// writes the manifest, syncs the directory, renames it and syncs DIR. `DIR/latest` names the newest
// checkpoint for people. Then rank 0 removes old checkpoints. Among the checkpoints up to the one
// just saved, it keeps the newest `keep` that this process wrote or verified, and removes all that
// are older than these. It never removes a directory with any other file in it.
//
// Loading ignores `latest` and takes the highest step whose tensors all match their hashes. When it
// has loaded, the damaged directories of later steps are renamed to step-N.damaged. If none loads,
// all keep their names, so that every later start fails too and none begins again at step 0. A
// directory that the system cannot read is skipped but keeps its name, until a checkpoint of the
// same step is saved: then it is renamed to step-N.unread. If memory runs out, loading fails.
//
// The manifest says which file holds which values, so any number of ranks can read what any other
// number wrote.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dist/collectives.h"
#include "tensor/json.h"
#include "tensor/safetensors.h"
#include "tensor/tensor.h"

namespace vila::tools {

// A contiguous range of the values of one tensor, in row-major order.
struct TensorPart {
    std::string name;
    Shape shape;        // of the whole tensor
    int64_t begin = 0;  // index of the first value
    Tensor values;      // the values [begin, begin + values.numel()), in any shape
};
// Returns one part for each tensor, with all of its values.
std::vector<TensorPart> whole_tensors(const NamedTensors& tensors);

// A verified checkpoint.
struct Checkpoint {
    int64_t step = 0;
    // Reads one tensor. Throws if there is none of that name.
    std::function<Tensor(const std::string& name)> tensor;
    // Fills part.values. Throws unless the checkpoint has a tensor of that name, shape and dtype.
    std::function<void(const TensorPart& part)> read;
    Json info;
};

class CheckpointStore {
  public:
    // Keeps the newest `keep` checkpoints, at least 2. Calls `warn` with one line for each
    // checkpoint that is damaged, or cannot be read or removed, on rank 0 only. `ranks` must share
    // a file system; all of them call save(), begin_save(), finish_save() and load_newest()
    // together, and errors are thrown on all.
    CheckpointStore(std::filesystem::path directory, int64_t keep,
                    std::function<void(const std::string& line)> warn,
                    dist::Collectives* ranks = nullptr);

    // Writes this rank's parts; the parts of all ranks must make up whole tensors. The `info` of
    // rank 0 is saved. Throws Error if a file cannot be written; older checkpoints are intact then.
    void save(int64_t step, const std::vector<TensorPart>& parts, const Json& info);
    void save(int64_t step, const NamedTensors& tensors, const Json& info);
    // A save in the background: begin_save() copies the tensors to host memory and returns while a
    // thread writes them; finish_save() waits for the thread and publishes the checkpoint.
    // written() returns whether this rank's thread is done, so that finish_save() need not wait.
    void begin_save(int64_t step, const std::vector<TensorPart>& parts, const Json& info);
    bool saving() const { return pending_ != nullptr; }
    bool written() const;
    void finish_save();
    ~CheckpointStore();
    // Returns the newest checkpoint that verifies, or none if there is no checkpoint. Throws if
    // there are checkpoints, or damaged ones that an earlier start renamed, and none verifies.
    std::optional<Checkpoint> load_newest(Device& device);
    // Returns the steps of all checkpoints, ascending, verified or not.
    std::vector<int64_t> steps() const;
    std::filesystem::path path_of(int64_t step) const;

  private:
    struct Pending;  // a save in progress
    // Outcome of a load, ordered by severity: the ranks agree on the worst one.
    enum class LoadResult { Good, Damaged, Unreadable, NoMemory };

    LoadResult try_load(int64_t step, Device& device, Checkpoint& checkpoint,
                        std::string& reason) const;
    Checkpoint load(int64_t step, Device& device) const;
    void set_aside_damaged(const std::vector<int64_t>& steps) const;
    // Throws if there are step-N.damaged, in a directory without other checkpoints.
    void refuse_only_damaged() const;
    std::unique_ptr<Pending> open_save(int64_t step, const Json& info);
    void publish(const Pending& pending, const std::string& table);
    void make_way(int64_t step);
    void remove_old(int64_t published);
    // Removes a checkpoint, or warns once why that is impossible.
    void remove(int64_t step);
    void warn_once(const std::string& line);
    bool first_rank() const { return ranks_->rank() == 0; }

    std::filesystem::path directory_;
    int64_t keep_;
    std::function<void(const std::string& line)> warn_;
    std::unique_ptr<dist::Collectives> alone_;
    dist::Collectives* ranks_;
    std::unique_ptr<Pending> pending_;
    std::set<int64_t> good_;          // steps that this process wrote or verified
    std::set<std::string> warnings_;  // lines of warn_once()
};

// Opens one checkpoint directory and verifies its tensors. Throws at the first one that does not
// match its hash, naming file and tensor. Several readers can divide the work: reader number
// `reader` of `readers` verifies only its share of the tensor parts.
Checkpoint load_checkpoint(const std::filesystem::path& path, Device& device, int64_t reader = 0,
                           int64_t readers = 1);

// Throws, with the numbers, unless the file system of `directory` has room for `copies` more
// checkpoints of `checkpoint_bytes` and a margin.
void check_free_space(const std::filesystem::path& directory, int64_t checkpoint_bytes,
                      int64_t copies);

}  // namespace vila::tools
