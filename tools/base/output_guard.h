#pragma once

// OutputGuard: refuses outputs that a command would also read.

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/base/output.h"

namespace vila::tools {

// A file or directory, whatever its name.
struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
};

// Returns whether `path`, which need not exist, is `folder` or lies inside it. Follows links.
bool lies_inside(const std::filesystem::path& path, const std::filesystem::path& folder);

class OutputGuard {
  public:
    // The files and directories that a command writes; "-" is standard output. An empty argument
    // was not given. Throws Error if two of them are the same file.
    explicit OutputGuard(const std::vector<NamedArgument>& outputs);
    // The same for a single output.
    OutputGuard(const char* name, const std::filesystem::path& path);

    // Throws Error if an output is this file, also by another name or link, or if this is a
    // directory and an output is or lies inside it. "-" is standard input. Devices and pipes may be
    // both. `name` is that of the option, or says what is read.
    void check_input(const std::string& name, const std::filesystem::path& input) const;

  private:
    struct Output {
        std::string name;              // of the option
        std::filesystem::path path;    // as given
        std::optional<FileId> itself;  // nothing if it does not exist, or is a device or pipe
        std::vector<FileId> folders;   // those that it lies inside
    };

    std::vector<Output> outputs_;
};

}  // namespace vila::tools
