#pragma once

// Makes system calls and allocations of this test program fail, or records them. Linking
// system_calls.cpp and failing_new.cpp replaces the C library's functions for files and operator
// new. The replacements call the originals, unless an object of a class below makes them fail.

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

// During its lifetime, the `at`-th call of a kind (from 1; 0: none) fails: with `error` as errno,
// or by throwing std::bad_alloc. Only calls on files under `folder` count. Only one may exist at a
// time.
class FailingCall {
  public:
    FailingCall(CallKind kind, std::filesystem::path folder, int64_t at, int error);
    ~FailingCall();
    FailingCall(const FailingCall&) = delete;
    FailingCall& operator=(const FailingCall&) = delete;

    // Returns the number of calls of that kind so far.
    int64_t calls() const;
};

// Counts an allocation. Returns whether it must fail.
bool allocation_fails();

// One change of the file system that succeeded. Paths are relative to the recorded folder.
struct FileChange {
    enum class Kind { MakeFolder, Create, Truncate, Write, Sync, Rename, Remove };
    Kind kind;
    std::string path;
    std::string to = {};     // of Rename
    std::string bytes = {};  // of Write, which appends
};

// During its lifetime, records the changes under `folder` in the order in which they happen.
class RecordedChanges {
  public:
    explicit RecordedChanges(std::filesystem::path folder);
    ~RecordedChanges();
    RecordedChanges(const RecordedChanges&) = delete;
    RecordedChanges& operator=(const RecordedChanges&) = delete;

    std::vector<FileChange> changes() const;
};

}  // namespace vila
