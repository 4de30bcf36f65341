#pragma once

// Resolves the name of an output: to the file that a rename replaces, or to the device or pipe that
// is written. AtomicFile and AtomicDirectory (file.h) use it for everything that this program
// writes.

#include <sys/stat.h>

#include <filesystem>
#include <optional>

namespace vila {

struct OutputPath {
    // The file to create or replace: absolute, with no symbolic link left in it.
    std::filesystem::path file;
    // The status of the file that exists there, if any; the new file gets its mode and owner.
    std::optional<struct stat> replaced;
    // For a device, a named pipe or an open descriptor: a descriptor open for writing, which the
    // caller must close. -1 for a file, and if it was not to be opened.
    int stream = -1;
};

// Follows the symbolic links of `path`, also a dangling one, whose target is then the file to
// create. With `open` false it does not open streams; opening a named pipe would wait for its
// reader. /dev/fd/N and /dev/stdout give a duplicate of the descriptor, so that writing continues
// at its offset. Throws FileError, with `path` in the message, for a directory, a block device, a
// missing folder, a loop of links, and an existing file without permission to write.
OutputPath find_output_path(const std::filesystem::path& path, bool open = true);

// Throws FileError if AtomicFile (file.h) could not write `path`, also for a folder without
// permission to write. Commands call it before long work.
void check_output_path(const std::filesystem::path& path);

// Throws unless AtomicDirectory (file.h) can make `path`: the name must be free, or that of an
// empty directory.
void check_output_directory(const std::filesystem::path& path);

// Returns `path` if it is not a symbolic link, otherwise the name at the end of its links.
std::filesystem::path follow_links(const std::filesystem::path& path);

}  // namespace vila
