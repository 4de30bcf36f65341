#pragma once

// Names of files and directories while they are written, and their removal when a signal ends the
// process.

#include <filesystem>
#include <string>

namespace vila {

// Returns the text that is in all temporary names of this process and in those of no other, not
// even of an earlier process with the same number or of one on another machine: the process number,
// a dash and 16 random hexadecimal digits.
const std::string& process_nonce();

// The last attempt for which callers try temporary_sibling() before they give up.
constexpr int kMaxTemporaryNames = 1000;

// Returns a name in the same folder as `path`, so that rename() stays on one file system:
// NAME.tmp-NONCE for attempt 0, then NAME.tmp-NONCE-1 and so on. Cuts a NAME that is too long for a
// file system.
std::filesystem::path temporary_sibling(const std::filesystem::path& path, int attempt);

// Returns whether `path` has a temporary name that the process with this nonce chose.
bool is_temporary_of(const std::filesystem::path& path, const std::string& nonce);

struct OpenDirectory {
    std::filesystem::path path;
    // Open for reading, or -1 if that failed; close it when the directory has its final name.
    int descriptor = -1;
};
// Creates a directory with a temporary name beside `path`. Throws FileError, which names `path`, if
// the folder cannot be written.
OpenDirectory make_temporary_directory(const std::filesystem::path& path);

// Removes the files and directories that AtomicFile and AtomicDirectory of this process have open
// under temporary names. The process is expected to end: other threads may still be writing them.
void remove_own_temporaries();

}  // namespace vila
