#pragma once

// Where the name of an output leads: which file a rename replaces, or which device or pipe is
// written. AtomicFile and AtomicDirectory (file.h) use it for everything that this program writes.

#include <sys/stat.h>

#include <filesystem>
#include <optional>

namespace vila {

struct OutputPath {
    // The file to create or replace: absolute, with no symbolic link left in it.
    std::filesystem::path file;
    // The file that exists there, if any: its mode and owner stay.
    std::optional<struct stat> replaced;
    // A device, a named pipe or an open descriptor: opened for writing, owned by the caller; -1 for
    // a file.
    int stream = -1;
};

// Follows the symbolic links of `path`, a dangling one to the name that it gives. With `open` false
// streams are not opened, which for a named pipe waits for its reader. /dev/fd/N and /dev/stdout
// give a duplicate of the descriptor, so that writing continues at its offset.
// Throws FileError, with `path` in the message, for a directory, a block device, a missing folder,
// a circle of links, a file or folder without permission to write.
OutputPath find_output_path(const std::filesystem::path& path, bool open = true);

// Throws what writing to `path` would throw before its first byte. Long commands call it first.
void check_output_path(const std::filesystem::path& path);

// `path` if it is not a symbolic link; otherwise the name that its links give in the end.
std::filesystem::path follow_links(const std::filesystem::path& path);

}  // namespace vila
