#include "tensor/path_kind.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "tensor/file.h"

namespace vila {

namespace fs = std::filesystem;

PathKind path_kind(const fs::path& path) {
    VILA_CHECK(path.native().find('\0') == std::string::npos, path.string(),
               ": the name has a NUL byte");
    struct stat status = {};
    if (::stat(path.c_str(), &status) == 0)
        return S_ISREG(status.st_mode)   ? PathKind::File
               : S_ISDIR(status.st_mode) ? PathKind::Directory
                                         : PathKind::Other;
    const int code = errno;
    if (code != ENOENT && code != ENOTDIR)
        throw FileError(str(path.string(), ": cannot be looked up: ", std::strerror(code)), code);
    if (::lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return PathKind::Absent;
    std::error_code error;
    throw FileError(str(path.string(), ": a symbolic link to ",
                        fs::read_symlink(path, error).string(), ", which is missing"),
                    code);
}

bool path_exists(const fs::path& path) {
    return path_kind(path) != PathKind::Absent;
}

bool file_exists(const fs::path& path) {
    return path_kind(path) == PathKind::File;
}

bool directory_exists(const fs::path& path) {
    return path_kind(path) == PathKind::Directory;
}

}  // namespace vila
