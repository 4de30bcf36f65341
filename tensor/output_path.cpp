#include "tensor/output_path.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tensor/file.h"

namespace vila {

namespace fs = std::filesystem;

namespace {

constexpr int kMaxLinks = 40;  // as many as Linux follows

[[noreturn]] void refuse(const fs::path& path, const std::string& reason, int code) {
    throw FileError(str(path.string(), ": cannot be written: ", reason), code);
}

bool is_number(const std::string& text) {
    return !text.empty() && text.size() < 8 &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

// The folder of `path`, absolute and without links.
fs::path real_folder(const fs::path& path, const fs::path& named) {
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(folder.c_str(), nullptr),
                                                           &std::free);
    const int code = errno;
    if (!real && code == ENOENT)
        refuse(named, str("the folder ", folder.string(), " does not exist"), code);
    if (!real) refuse(named, str(folder.string(), ": ", std::strerror(code)), code);
    return real.get();
}

// The number N of /proc/self/fd/N, where /dev/stdout and /dev/fd/N lead; -1 for other names.
int descriptor_number(const fs::path& folder, const std::string& name) {
    const std::string process = str("/proc/", ::getpid());
    const std::string text = folder.string();
    const bool is_own =
        text == process + "/fd" || (text.starts_with(process + "/task/") && text.ends_with("/fd"));
    return is_own && is_number(name) ? std::atoi(name.c_str()) : -1;
}

int duplicate(int descriptor, const fs::path& named) {
    const int flags = ::fcntl(descriptor, F_GETFL);
    if (flags < 0) refuse(named, str("descriptor ", descriptor, " is not open"), EBADF);
    if ((flags & O_ACCMODE) == O_RDONLY)
        refuse(named, str("descriptor ", descriptor, " is open for reading only"), EBADF);
    const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (copy < 0) refuse(named, std::strerror(errno), errno);
    return copy;
}

int open_stream(const fs::path& path, const fs::path& named) {
    int stream = -1;
    do {
        stream = ::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    } while (stream < 0 && errno == EINTR);
    if (stream < 0) refuse(named, std::strerror(errno), errno);
    return stream;
}

// Refuses what cannot be replaced by a file, and what the user protected against writing.
void check_kind(const fs::path& path, const struct stat& status, const fs::path& named) {
    if (S_ISDIR(status.st_mode)) refuse(named, "is a directory; expected a file name", EISDIR);
    if (S_ISBLK(status.st_mode)) refuse(named, "is a block device; expected a file name", EINVAL);
    if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0)
        refuse(named, std::strerror(errno), errno);
}

bool is_stream(const struct stat& status) {
    return S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode);
}

}  // namespace

OutputPath find_output_path(const fs::path& path, bool open) {
    fs::path current = path;
    for (int link = 0; link <= kMaxLinks; ++link) {
        const std::string name = current.filename().string();
        if (name.empty() || name == "." || name == "..")
            refuse(path, "is the name of a directory; expected a file name", EISDIR);
        const fs::path folder = real_folder(current, path);
        OutputPath found{.file = folder / name, .replaced = {}, .stream = -1};
        const int number = descriptor_number(folder, name);
        if (number >= 0) {
            const int copy = duplicate(number, path);
            if (open) {
                found.stream = copy;
            } else {
                ::close(copy);
            }
            return found;
        }
        struct stat status = {};
        if (::lstat(found.file.c_str(), &status) != 0) {
            if (errno != ENOENT) refuse(path, std::strerror(errno), errno);
            return found;
        }
        // The kernel's own links, such as descriptors of other processes, have no name to follow.
        const bool is_magic = folder.string().starts_with("/proc/");
        if (is_magic && ::stat(found.file.c_str(), &status) != 0)
            refuse(path, std::strerror(errno), errno);
        if (is_stream(status)) {
            check_kind(found.file, status, path);
            if (open) found.stream = open_stream(found.file, path);
            return found;
        }
        if (!S_ISLNK(status.st_mode)) {
            check_kind(found.file, status, path);
            found.replaced = status;
            return found;
        }
        std::error_code error;
        const fs::path target = fs::read_symlink(found.file, error);
        if (error) refuse(path, error.message(), error.value());
        current = folder / target;  // an absolute target replaces the folder
    }
    refuse(path, std::strerror(ELOOP), ELOOP);
}

void check_output_path(const fs::path& path) {
    const OutputPath found = find_output_path(path, false);
    struct stat status = {};
    if (::stat(found.file.c_str(), &status) == 0 && is_stream(status)) return;
    const fs::path folder = found.file.parent_path();
    if (descriptor_number(folder, found.file.filename().string()) >= 0) return;
    if (::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
        refuse(path, str("the folder ", folder.string(), ": ", std::strerror(errno)), errno);
}

void check_output_directory(const fs::path& path) {
    std::error_code error;
    const fs::path real = follow_links(path);
    const bool is_free = !fs::exists(fs::symlink_status(real, error)) ||
                         (fs::is_directory(real, error) && fs::is_empty(real, error));
    VILA_CHECK(is_free, path.string(), ": exists; move it away or choose another name");
}

fs::path follow_links(const fs::path& path) {
    fs::path current = path;
    std::error_code error;
    for (int link = 0; fs::is_symlink(fs::symlink_status(current, error)); ++link) {
        if (link == kMaxLinks) refuse(path, std::strerror(ELOOP), ELOOP);
        const fs::path target = fs::read_symlink(current, error);
        if (error) refuse(path, error.message(), error.value());
        current = current.parent_path() / target;
    }
    return current;
}

}  // namespace vila
