#pragma once

// OutputGuard: refuses outputs that a command would also read.

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/base/output.h"

namespace vila::tools {

// Identifies a file or directory independently of its name.
struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
};

// Returns whether `path`, which need not exist, is `folder` or lies inside it. Follows links.
bool lies_inside(const std::filesystem::path& path, const std::filesystem::path& folder);

class OutputGuard {
  public:
    // `outputs` are the files and directories that a command writes; "-" is standard output, and
    // empty arguments are skipped. Throws Error if two of them are the same file.
    explicit OutputGuard(const std::vector<NamedArgument>& outputs);
    // The same for a single output.
    OutputGuard(const char* name, const std::filesystem::path& path);

    // Throws Error if an output is the file `input`, also under another name or by a link, or if
    // `input` is a directory and an output is that directory or lies inside it. "-" is standard
    // input. A device or pipe may be both input and output. `name` is the option's name, or a
    // description of the input.
    void check_input(const std::string& name, const std::filesystem::path& input) const;

  private:
    struct Output {
        std::string name;              // of the option
        std::filesystem::path path;    // as given
        std::optional<FileId> itself;  // empty if it does not exist, or is a device or pipe
        std::vector<FileId> folders;   // those that it lies inside
    };

    std::vector<Output> outputs_;
};

}  // namespace vila::tools
