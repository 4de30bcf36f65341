// A preload library (LD_PRELOAD) that makes one system call of a program fail: the VILA_FAULT_AT-th
// write, fsync, rename, mkdir or open for writing (with VILA_FAULT_CALLS=reads: open for reading,
// read or pread) of a path that contains VILA_FAULT_PATH. VILA_FAULT_ERRNO is the error, or "short"
// if a read or write must handle only half of its bytes, "hang" if the call must never return,
// "slow" if it must take 6 seconds longer, or "exit" if the process must end. The number of
// matching calls is written to the file VILA_FAULT_COUNT, so that a driver can try all of them.
// With the path "MPI_Allgather", that MPI call is skipped, and later collectives of the rank never
// return.

// This file defines both open() and open64().
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::atomic<long> g_calls = 0;
std::atomic<bool> g_skipped = false;  // an MPI_Allgather was skipped

const char* setting(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

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

// Returns whether this call must fail, and sets errno: to 0 for a short count.
bool fails(const std::string& path) {
    const char* wanted = setting("VILA_FAULT_PATH");
    if (*wanted == '\0' || path.find(wanted) == std::string::npos) return false;
    const long call = ++g_calls;
    if (const char* file = setting("VILA_FAULT_COUNT"); *file != '\0')
        if (std::FILE* count = std::fopen(file, "w")) {
            std::fprintf(count, "%ld\n", call);
            std::fclose(count);
        }
    if (call != std::atol(setting("VILA_FAULT_AT"))) return false;
    const std::string error = setting("VILA_FAULT_ERRNO");
    while (error == "hang") ::pause();
    if (error == "slow") {
        ::sleep(6);
        return false;
    }
    if (error == "exit") ::_exit(3);
    errno = error == "ENOSPC"   ? ENOSPC
            : error == "EDQUOT" ? EDQUOT
            : error == "EROFS"  ? EROFS
            : error == "EACCES" ? EACCES
            : error == "EINTR"  ? EINTR
            : error == "short"  ? 0
                                : EIO;
    return true;
}

bool read_fails(const std::string& path) {
    return *setting("VILA_FAULT_CALLS") == 'r' && fails(path);
}
bool write_fails(const std::string& path) {
    return *setting("VILA_FAULT_CALLS") != 'r' && fails(path);
}
// Returns false for a short count. A call that returns no count then succeeds.
bool is_error() {
    return errno != 0;
}
bool open_fails(const char* path, int flags) {
    return (flags & (O_WRONLY | O_RDWR)) != 0 ? write_fails(path) : read_fails(path);
}

}  // namespace

extern "C" {

// Handles are pointers in Open MPI.
int MPI_Alltoall(const void* in, int count, void* type, void* out, int out_count, void* out_type,
                 void* communicator) {
    static auto* real =
        next<int(const void*, int, void*, void*, int, void*, void*)>("MPI_Alltoall");
    while (g_skipped) ::pause();
    return real(in, count, type, out, out_count, out_type, communicator);
}

int MPI_Allgather(const void* in, int count, void* type, void* out, int out_count, void* out_type,
                  void* communicator) {
    static auto* real =
        next<int(const void*, int, void*, void*, int, void*, void*)>("MPI_Allgather");
    while (g_skipped) ::pause();
    if (fails("MPI_Allgather")) {
        g_skipped = true;
        return 0;
    }
    return real(in, count, type, out, out_count, out_type, communicator);
}

ssize_t pread64(int descriptor, void* data, size_t bytes, off64_t offset) {
    static auto* real = next<ssize_t(int, void*, size_t, off64_t)>("pread64");
    if (read_fails(path_of(descriptor))) {
        if (is_error()) return -1;
        bytes = (bytes + 1) / 2;
    }
    return real(descriptor, data, bytes, offset);
}

ssize_t read(int descriptor, void* data, size_t bytes) {
    static auto* real = next<ssize_t(int, void*, size_t)>("read");
    if (read_fails(path_of(descriptor))) {
        if (is_error()) return -1;
        bytes = (bytes + 1) / 2;
    }
    return real(descriptor, data, bytes);
}

ssize_t write(int descriptor, const void* data, size_t bytes) {
    static auto* real = next<ssize_t(int, const void*, size_t)>("write");
    if (write_fails(path_of(descriptor))) {
        if (is_error()) return -1;
        bytes = (bytes + 1) / 2;
    }
    return real(descriptor, data, bytes);
}

int fsync(int descriptor) {
    static auto* real = next<int(int)>("fsync");
    if (write_fails(path_of(descriptor)) && is_error()) return -1;
    return real(descriptor);
}

int rename(const char* from, const char* to) {
    static auto* real = next<int(const char*, const char*)>("rename");
    if (write_fails(to) && is_error()) return -1;
    return real(from, to);
}

int mkdir(const char* path, mode_t mode) {
    static auto* real = next<int(const char*, mode_t)>("mkdir");
    if (write_fails(path) && is_error()) return -1;
    return real(path, mode);
}

int open(const char* path, int flags, ...) {
    static auto* real = next<int(const char*, int, ...)>("open");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (open_fails(path, flags) && is_error()) return -1;
    return real(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    static auto* real = next<int(const char*, int, ...)>("open64");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (open_fails(path, flags) && is_error()) return -1;
    return real(path, flags, mode);
}
}
