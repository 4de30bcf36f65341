#pragma once

// What a disk may hold after a crash, given what was asked of it. The model is the least a file
// system promises (Pillai et al. 2014, All File Systems Are Not Created Equal): what was synced is
// there; of the rest, every write may be missing, cut short or zeros, and every change of a folder
// (a new name, a rename, a removal) may be missing, each independently of the others.

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
    // Begins with what is in `folder` now, all of it synced.
    explicit CrashDisk(const std::filesystem::path& folder);

    // The next change that the program made.
    void apply(const FileChange& change);
    // How many changes are not synced.
    int64_t open_changes() const;
    // How probably an open change of a folder, or of a file's bytes, survives.
    struct Keep {
        double names, bytes;
    };
    // Path and bytes of every file (of folders: path + "/"), as a crash at this moment may leave
    // them. Bytes that do not survive may be missing, cut short or zeros.
    using Contents = std::map<std::string, std::string>;
    Contents crash(std::mt19937_64& random, const Keep& keep) const;

  private:
    struct Node;
    using NodePointer = std::shared_ptr<Node>;
    // Names that changed together: what they mean now, or nothing.
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
    std::vector<NodePointer> nodes_;  // all there ever were
};

// Makes `folder` hold exactly this.
void write_contents(const CrashDisk::Contents& contents, const std::filesystem::path& folder);

}  // namespace vila
