#pragma once

// Models a disk, and what it may hold after a crash. The model has the weakest guarantees of any
// file system (Pillai et al. 2014, All File Systems Are Not Created Equal): synced changes survive.
// Of the others, each write may be missing, cut short or zeros, and each change of a folder (a new
// name, a rename, a removal) may be missing, independently of all others.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/faults/system_calls.h"

namespace vila {

class CrashDisk {
  public:
    // Starts with the present contents of `folder`, all of it synced.
    explicit CrashDisk(const std::filesystem::path& folder);

    // Applies the next change that the program made.
    void apply(const FileChange& change);
    // Returns the number of changes that are not synced.
    int64_t open_changes() const;
    // The probabilities that a change of a folder, or of a file's bytes, survives unsynced.
    struct Keep {
        double names, bytes;
    };
    // The bytes of every file by its path; a folder has the key path + "/" and no bytes.
    using Contents = std::map<std::string, std::string>;
    // Returns contents that a crash at this moment may leave. Bytes that do not survive are
    // missing, cut short or zeros.
    Contents crash(std::mt19937_64& random, const Keep& keep) const;

  private:
    struct Node;
    using NodePointer = std::shared_ptr<Node>;
    // Names that changed together, each with the node it now refers to, or null.
    struct Update {
        std::vector<std::pair<std::string, NodePointer>> names;
        bool synced = false;
    };
    struct Write {
        std::string bytes;
        bool synced = false;
    };
    struct Node {
        bool is_folder = false;
        std::vector<Update> updates;  // of a folder
        std::vector<Write> writes;    // of a file
    };

    NodePointer find(const std::string& path) const;
    static NodePointer find(const Node& folder, const std::string& name);
    void set(const std::string& path, const NodePointer& node);
    static void collect(const Node& folder, const std::string& path, std::mt19937_64& random,
                        const Keep& keep, Contents& contents);
    static std::string torn(const Node& file, std::mt19937_64& random, const Keep& keep);

    NodePointer root_;
    std::vector<NodePointer> nodes_;  // all that ever existed
};

// Replaces the contents of `folder`.
void write_contents(const CrashDisk::Contents& contents, const std::filesystem::path& folder);

}  // namespace vila
