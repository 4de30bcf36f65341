#pragma once

// Checkpoints that survive being killed, a full disk and a power cut.
//
// DIR/step-00000100/ holds
//     rank-00000.safetensors   the tensors one rank owns
//     manifest.json            written last: step, every file with its bytes, every tensor with
//                              dtype, shape, file and 64-bit hash, `info`, and a hash of the rest
// A save fills step-00000100.tmp-NONCE, syncs every file and the directory, renames it and syncs
// DIR. `DIR/latest` names the newest for people; a load never trusts it: it takes the highest step
// whose every byte verifies, puts a damaged directory aside as step-N.damaged, and goes on to the
// next older one. Deleting old checkpoints comes last and never touches the newest.
//
// The tensor table is what another number of ranks would need: who owns a tensor is in the table,
// not in its name.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tensor/safetensors.h"
#include "tensor/tensor.h"

namespace vila::tools {

using Json = nlohmann::ordered_json;

// A checkpoint that verified.
struct Checkpoint {
    int64_t step = 0;
    // Reads one tensor; throws when there is none of that name.
    std::function<Tensor(const std::string& name)> tensor;
    Json info;
};

class CheckpointStore {
  public:
    // `warn` is told, one line each, of damage and leftovers. `keep` checkpoints stay, at least 2.
    CheckpointStore(std::filesystem::path directory, int64_t keep,
                    std::function<void(const std::string& line)> warn);

    // Removes what a killed save left behind.
    void remove_leftovers();
    // Throws Error when it cannot be written; what was there before is intact then.
    void save(int64_t step, const NamedTensors& tensors, const Json& info);
    // The newest checkpoint that verifies, none when there is no checkpoint at all. Throws when
    // there are some and all are damaged.
    std::optional<Checkpoint> load_newest(Device& device);
    // Steps of the checkpoints there are, ascending, verified or not.
    std::vector<int64_t> steps() const;
    std::filesystem::path path_of(int64_t step) const;

  private:
    Checkpoint load(int64_t step, Device& device) const;
    void remove_old() const;

    std::filesystem::path directory_;
    int64_t keep_;
    std::function<void(const std::string& line)> warn_;
};

// Opens one checkpoint directory after reading every byte of it; throws at the first one that does
// not agree with its hash, naming file and tensor.
Checkpoint load_checkpoint(const std::filesystem::path& path, Device& device);

// Throws unless the file system of `directory` has room for `copies` more checkpoints of that size
// and a margin: the figures are in the message.
void check_free_space(const std::filesystem::path& directory, int64_t checkpoint_bytes,
                      int64_t copies);

}  // namespace vila::tools
