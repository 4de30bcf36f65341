#pragma once

// Checkpoints that survive being killed, a full disk and a power cut.
//
// DIR/step-00000100/ holds
//     rank-00000.safetensors   what rank 0 owned of the tensors: whole ones or runs of their values
//     manifest.json            written last: step, every file with its bytes, every tensor with
//                              dtype, shape and its runs (file, first value, values, 64-bit hash),
//                              `info`, and a hash of the rest
// A save fills step-00000100.tmp-NONCE, each rank its own file; when all have succeeded, rank 0
// writes the manifest, syncs the directory, renames it and syncs DIR. `DIR/latest` names the newest
// for people; a load never trusts it: it takes the highest step whose every byte verifies, puts a
// damaged directory aside as step-N.damaged, and goes on to the next older one. One that the system
// does not let it read stays where it is; without memory for it the load fails. Deleting old
// checkpoints comes last and never touches the newest.
//
// Who wrote what is in the table, not in names: any number of ranks reads what any other wrote.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "dist/collectives.h"
#include "tensor/safetensors.h"
#include "tensor/tensor.h"

namespace vila::tools {

using Json = nlohmann::ordered_json;

// A run of values of one tensor, flattened row-major.
struct TensorPart {
    std::string name;
    Shape shape;  // of the whole tensor
    int64_t begin = 0;
    Tensor values;  // numel() of them, in any shape
};
std::vector<TensorPart> whole_tensors(const NamedTensors& tensors);

// A checkpoint that verified.
struct Checkpoint {
    int64_t step = 0;
    // Reads one tensor; throws when there is none of that name.
    std::function<Tensor(const std::string& name)> tensor;
    // Fills part.values; throws unless there is a tensor of that name, shape and dtype.
    std::function<void(const TensorPart& part)> read;
    Json info;
};

class CheckpointStore {
  public:
    // `warn` is told, one line each, of damage and leftovers. `keep` checkpoints stay, at least 2.
    // With `ranks`, every function but steps() and path_of() is for all of them to call together;
    // what it throws it throws on all. They see the same file system; rank 0 alone warns.
    CheckpointStore(std::filesystem::path directory, int64_t keep,
                    std::function<void(const std::string& line)> warn,
                    dist::Collectives* ranks = nullptr);

    // Removes what a killed save left behind.
    void remove_leftovers();
    // Writes this rank's parts; those of all ranks must make up whole tensors. `info` is rank 0's.
    // Throws Error when it cannot be written; what was there before is intact then.
    void save(int64_t step, const std::vector<TensorPart>& parts, const Json& info);
    void save(int64_t step, const NamedTensors& tensors, const Json& info);
    // The same in two halves: begin_save() copies the tensors and returns while a thread writes
    // them; finish_save() waits for that and publishes. written() tells, on this rank alone,
    // whether finish_save() would not have to wait.
    void begin_save(int64_t step, const std::vector<TensorPart>& parts, const Json& info);
    bool saving() const { return pending_ != nullptr; }
    bool written() const;
    void finish_save();
    ~CheckpointStore();
    // The newest checkpoint that verifies, none when there is no checkpoint at all. Throws when
    // there are some and all are damaged.
    std::optional<Checkpoint> load_newest(Device& device);
    // Steps of the checkpoints there are, ascending, verified or not.
    std::vector<int64_t> steps() const;
    std::filesystem::path path_of(int64_t step) const;

  private:
    struct Pending;  // a save that has begun
    // What became of a load, on whichever rank it went worst.
    enum class Fate { Good, Damaged, Unreadable, NoMemory };

    Fate try_load(int64_t step, Device& device, Checkpoint& checkpoint, std::string& reason) const;
    Checkpoint load(int64_t step, Device& device) const;
    std::unique_ptr<Pending> open_save(int64_t step, const Json& info);
    void publish(const Pending& pending, const std::string& table);
    void remove_old() const;
    bool first_rank() const { return ranks_->rank() == 0; }

    std::filesystem::path directory_;
    int64_t keep_;
    std::function<void(const std::string& line)> warn_;
    std::unique_ptr<dist::Collectives> alone_;
    dist::Collectives* ranks_;
    std::unique_ptr<Pending> pending_;
};

// Opens one checkpoint directory after reading every byte of it; throws at the first one that does
// not agree with its hash, naming file and tensor. Readers that are `readers` in number may share
// the work: reader `reader` verifies its share.
Checkpoint load_checkpoint(const std::filesystem::path& path, Device& device, int64_t reader = 0,
                           int64_t readers = 1);

// Throws unless the file system of `directory` has room for `copies` more checkpoints of that size
// and a margin: the figures are in the message.
void check_free_space(const std::filesystem::path& directory, int64_t checkpoint_bytes,
                      int64_t copies);

}  // namespace vila::tools
