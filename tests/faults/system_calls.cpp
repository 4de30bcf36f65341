// This file defines both open() and open64().
#undef _FILE_OFFSET_BITS

#include "tests/faults/system_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

namespace vila {

namespace {

struct Failing {
    CallKind kind;
    std::string folder;
    int64_t at;
    int error;
    std::atomic<int64_t> calls = 0;
};

struct Recording {
    std::string folder;
    std::mutex mutex;
    std::vector<FileChange> changes;
};

std::atomic<Failing*> g_failing = nullptr;
std::atomic<Recording*> g_recording = nullptr;
// Set while a replaced function runs: its own calls and allocations must not fail or be recorded.
thread_local bool t_inside = false;

class Inside {
  public:
    Inside() { t_inside = true; }
    ~Inside() { t_inside = false; }
};

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::string path_of(int descriptor) {
    char path[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
    return length > 0 ? std::string(path, static_cast<size_t>(length)) : std::string();
}

bool is_under(const std::string& path, const std::string& folder) {
    return path.size() > folder.size() && path.compare(0, folder.size(), folder) == 0;
}

// Returns whether this call must fail, and sets errno.
bool fails(CallKind kind, const std::string& path) {
    Failing* failing = g_failing;
    if (failing == nullptr || failing->kind != kind || !is_under(path, failing->folder))
        return false;
    if (++failing->calls != failing->at) return false;
    errno = failing->error;
    return true;
}

void record(FileChange::Kind kind, const std::string& path, const std::string& to = {},
            std::string bytes = {}) {
    Recording* recording = g_recording;
    if (recording == nullptr) return;
    if (path + "/" != recording->folder && !is_under(path, recording->folder)) return;
    const auto relative = [&](const std::string& full) {
        return full.size() <= recording->folder.size() ? std::string()
                                                       : full.substr(recording->folder.size());
    };
    const std::lock_guard lock(recording->mutex);
    recording->changes.push_back({kind, relative(path), relative(to), std::move(bytes)});
}

bool writes(int flags) {
    return (flags & (O_WRONLY | O_RDWR)) != 0;
}

// Returns the path that unlinkat() and similar calls refer to.
std::string path_at(int folder, const char* path) {
    if (*path == '/' || folder == AT_FDCWD) return path;
    return path_of(folder) + "/" + path;
}

template <typename Open>
int open_file(const char* path, int flags, const Open& real) {
    if (t_inside) return real();
    bool creates = false;
    {
        const Inside inside;
        if (fails(writes(flags) ? CallKind::Write : CallKind::Read, path)) return -1;
        struct stat status;
        creates = g_recording != nullptr && (flags & O_CREAT) != 0 && ::stat(path, &status) != 0;
    }
    const int descriptor = real();
    if (descriptor < 0) return descriptor;
    const Inside inside;
    if (creates)
        record(FileChange::Kind::Create, path);
    else if ((flags & O_TRUNC) != 0)
        record(FileChange::Kind::Truncate, path);
    return descriptor;
}

// Runs a call that changes a file, unless it must fail, and records it if it succeeds.
template <typename Call>
int change(FileChange::Kind kind, const std::string& path, const std::string& to,
           const Call& call) {
    if (fails(CallKind::Write, path)) return -1;
    const int result = call();
    if (result == 0) record(kind, path, to);
    return result;
}

}  // namespace

bool allocation_fails() {
    Failing* failing = g_failing;
    if (failing == nullptr || failing->kind != CallKind::Allocate || t_inside) return false;
    return ++failing->calls == failing->at;
}

FailingCall::FailingCall(CallKind kind, std::filesystem::path folder, int64_t at, int error) {
    g_failing = new Failing{kind, folder.string() + "/", at, error};
}
FailingCall::~FailingCall() {
    delete g_failing.exchange(nullptr);
}
int64_t FailingCall::calls() const {
    return g_failing.load()->calls;
}

RecordedChanges::RecordedChanges(std::filesystem::path folder) {
    g_recording = new Recording{folder.string() + "/", {}, {}};
}
RecordedChanges::~RecordedChanges() {
    delete g_recording.exchange(nullptr);
}
std::vector<FileChange> RecordedChanges::changes() const {
    return g_recording.load()->changes;
}

}  // namespace vila

using vila::CallKind;
using vila::FileChange;

extern "C" {

ssize_t write(int descriptor, const void* data, size_t bytes) {
    static auto* real = vila::next<ssize_t(int, const void*, size_t)>("write");
    if (vila::t_inside || descriptor <= 2) return real(descriptor, data, bytes);
    const vila::Inside inside;
    const std::string path = vila::path_of(descriptor);
    if (vila::fails(CallKind::Write, path)) return -1;
    const ssize_t written = real(descriptor, data, bytes);
    if (written > 0)
        vila::record(FileChange::Kind::Write, path, {},
                     std::string(static_cast<const char*>(data), static_cast<size_t>(written)));
    return written;
}

// Does not sync: files of tests need not survive a crash.
int fsync(int descriptor) {
    const vila::Inside inside;
    return vila::change(FileChange::Kind::Sync, vila::path_of(descriptor), {}, [] { return 0; });
}

int rename(const char* from, const char* to) {
    static auto* real = vila::next<int(const char*, const char*)>("rename");
    const vila::Inside inside;
    return vila::change(FileChange::Kind::Rename, from, to, [&] { return real(from, to); });
}

int mkdir(const char* path, mode_t mode) {
    static auto* real = vila::next<int(const char*, mode_t)>("mkdir");
    const vila::Inside inside;
    return vila::change(FileChange::Kind::MakeFolder, path, {}, [&] { return real(path, mode); });
}

int unlink(const char* path) {
    static auto* real = vila::next<int(const char*)>("unlink");
    const vila::Inside inside;
    return vila::change(FileChange::Kind::Remove, path, {}, [&] { return real(path); });
}

int unlinkat(int folder, const char* path, int flags) {
    static auto* real = vila::next<int(int, const char*, int)>("unlinkat");
    const vila::Inside inside;
    return vila::change(FileChange::Kind::Remove, vila::path_at(folder, path), {},
                        [&] { return real(folder, path, flags); });
}

int remove(const char* path) {
    static auto* real = vila::next<int(const char*)>("remove");
    const vila::Inside inside;
    return vila::change(FileChange::Kind::Remove, path, {}, [&] { return real(path); });
}

int open(const char* path, int flags, ...) {
    static auto* real = vila::next<int(const char*, int, ...)>("open");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return vila::open_file(path, flags, [&] { return real(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
    static auto* real = vila::next<int(const char*, int, ...)>("open64");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return vila::open_file(path, flags, [&] { return real(path, flags, mode); });
}

ssize_t pread64(int descriptor, void* data, size_t bytes, off64_t offset) {
    static auto* real = vila::next<ssize_t(int, void*, size_t, off64_t)>("pread64");
    const vila::Inside inside;
    if (vila::fails(CallKind::Read, vila::path_of(descriptor))) return -1;
    return real(descriptor, data, bytes, offset);
}

ssize_t pread(int descriptor, void* data, size_t bytes, off_t offset) {
    return pread64(descriptor, data, bytes, offset);
}
}
