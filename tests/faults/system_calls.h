#pragma once

// What this test program asks of the system, made to fail or written down. Linking system_calls.cpp
// puts functions of our own in front of the system's calls for files and of operator new; they pass
// everything on unless one of the classes below lives.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vila {

enum class CallKind {
    Read,      // open for reading, pread, mmap
    Write,     // open for writing, write, fsync, rename, mkdir, unlink
    Allocate,  // operator new, wherever it is called
};

// While it lives, the `at`-th call of a kind (from 1; 0: none) fails: with `error` as errno, or by
// throwing std::bad_alloc. Calls on files count where their path is under `folder`. One at a time.
class FailingCall {
  public:
    FailingCall(CallKind kind, std::filesystem::path folder, int64_t at, int error);
    ~FailingCall();
    FailingCall(const FailingCall&) = delete;
    FailingCall& operator=(const FailingCall&) = delete;

    // Of that kind so far.
    int64_t calls() const;
};

// Counts an allocation; whether it is to fail.
bool allocation_fails();

// One change of the file system that succeeded. Paths are relative to the recorded folder.
struct FileChange {
    enum class Kind { MakeFolder, Create, Truncate, Write, Sync, Rename, Remove };
    Kind kind;
    std::string path;
    std::string to = {};     // of Rename
    std::string bytes = {};  // of Write, which appends
};

// While it lives, changes under `folder` are written down, in the order in which they happened.
class RecordedChanges {
  public:
    explicit RecordedChanges(std::filesystem::path folder);
    ~RecordedChanges();
    RecordedChanges(const RecordedChanges&) = delete;
    RecordedChanges& operator=(const RecordedChanges&) = delete;

    std::vector<FileChange> changes() const;
};

}  // namespace vila
