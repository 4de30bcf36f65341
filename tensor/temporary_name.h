#pragma once

// Names of files and directories while they are written, and their removal when a signal ends the
// process.

#include <filesystem>

namespace vila {

// How many names temporary_sibling() offers.
constexpr int kMaxTemporaryNames = 1000;

// A name in the same folder as `path`, so that rename() stays on one file system: NAME.tmp-PID, and
// NAME.tmp-PID-1 and so on for later attempts. A long NAME is cut to what a file system takes.
std::filesystem::path temporary_sibling(const std::filesystem::path& path, int attempt);

// Removes the files and directories that AtomicFile and AtomicDirectory of this process have open
// under temporary names. The process is expected to end: other threads may still be writing them.
void remove_own_temporaries();

}  // namespace vila
