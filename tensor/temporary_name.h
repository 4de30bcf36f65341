#pragma once

// Names of files and directories while they are written, and their removal when a signal ends the
// process.

#include <filesystem>

namespace vila {

// The number of attempts that temporary_sibling() has a name for.
constexpr int kMaxTemporaryNames = 1000;

// Returns a name in the same folder as `path`, so that rename() stays on one file system:
// NAME.tmp-PID for attempt 0, then NAME.tmp-PID-1 and so on. Cuts a NAME that is too long for a
// file system.
std::filesystem::path temporary_sibling(const std::filesystem::path& path, int attempt);

// Removes the files and directories that AtomicFile and AtomicDirectory of this process have open
// under temporary names. The process is expected to end: other threads may still be writing them.
void remove_own_temporaries();

}  // namespace vila
