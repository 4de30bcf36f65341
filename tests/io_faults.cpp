// A library to load before a program (LD_PRELOAD) that makes one of its calls into the system fail:
// the VILA_FAULT_AT-th write, fsync, rename, mkdir or open for writing of a path that contains
// VILA_FAULT_PATH, with the error VILA_FAULT_ERRNO, or, for "hang", never to return. Calls that
// match are counted in the file VILA_FAULT_COUNT names, so that a driver knows how many there are.

// Both open() and open64() are to be found here.
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

// Whether this call is the one that fails; errno is set then.
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
    errno = error == "ENOSPC"   ? ENOSPC
            : error == "EDQUOT" ? EDQUOT
            : error == "EROFS"  ? EROFS
                                : EIO;
    return true;
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, const void* data, size_t bytes) {
    static auto* real = next<ssize_t(int, const void*, size_t)>("write");
    if (descriptor > 2 && fails(path_of(descriptor))) return -1;
    return real(descriptor, data, bytes);
}

int fsync(int descriptor) {
    static auto* real = next<int(int)>("fsync");
    if (fails(path_of(descriptor))) return -1;
    return real(descriptor);
}

int rename(const char* from, const char* to) {
    static auto* real = next<int(const char*, const char*)>("rename");
    if (fails(to)) return -1;
    return real(from, to);
}

int mkdir(const char* path, mode_t mode) {
    static auto* real = next<int(const char*, mode_t)>("mkdir");
    if (fails(path)) return -1;
    return real(path, mode);
}

int open(const char* path, int flags, ...) {
    static auto* real = next<int(const char*, int, ...)>("open");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if ((flags & (O_WRONLY | O_RDWR)) != 0 && fails(path)) return -1;
    return real(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    static auto* real = next<int(const char*, int, ...)>("open64");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if ((flags & (O_WRONLY | O_RDWR)) != 0 && fails(path)) return -1;
    return real(path, flags, mode);
}
}
