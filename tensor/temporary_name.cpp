#include "tensor/temporary_name.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <system_error>
#include <vector>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila {

namespace fs = std::filesystem;

namespace {

std::string make_nonce() {
    uint64_t random = 0;
    if (::getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
    char text[48];
    std::snprintf(text, sizeof text, "%d-%016llx", static_cast<int>(::getpid()),
                  static_cast<unsigned long long>(random));
    return text;
}

// Held between the creation of a directory and the opening of its descriptor, without which
// remove_own_temporaries() would not find it.
std::mutex directories_mutex;

std::string suffix_of(const std::string& nonce) {
    return ".tmp-" + nonce;
}

}  // namespace

const std::string& process_nonce() {
    static const std::string nonce = make_nonce();
    return nonce;
}

fs::path temporary_sibling(const fs::path& path, int attempt) {
    std::string suffix = suffix_of(process_nonce());
    if (attempt > 0) suffix += str("-", attempt);
    const std::string name = path.filename().string();
    return path.parent_path() / (name.substr(0, NAME_MAX - suffix.size()) + suffix);
}

bool is_temporary_of(const fs::path& path, const std::string& nonce) {
    const std::string name = path.filename().string(), suffix = suffix_of(nonce);
    const size_t at = name.rfind(suffix);
    if (at == std::string::npos) return false;
    const size_t end = at + suffix.size();
    return end == name.size() || name[end] == '-';
}

OpenDirectory make_temporary_directory(const fs::path& path) {
    const std::lock_guard lock(directories_mutex);
    for (int attempt = 0; attempt <= kMaxTemporaryNames; ++attempt) {
        fs::path made = temporary_sibling(path, attempt);
        if (::mkdir(made.c_str(), 0777) == 0) {
            const int descriptor = ::open(made.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            return {std::move(made), descriptor};
        }
        if (errno != EEXIST) break;
    }
    const int code = errno;
    throw FileError(
        str(path.string(), ": cannot create a directory in this folder: ", std::strerror(code)),
        code);
}

// Finds the files by the open descriptors of the process.
void remove_own_temporaries() {
    const std::lock_guard lock(directories_mutex);
    std::error_code error;
    std::vector<fs::path> temporaries;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
        const fs::path target = fs::read_symlink(entry.path(), error);
        if (!error && is_temporary_of(target, process_nonce())) temporaries.push_back(target);
    }
    for (const fs::path& path : temporaries) {
        // Renames first, so that no other thread gives the directory its final name meanwhile.
        const fs::path removed = temporary_sibling(path, kMaxTemporaryNames + 1);
        if (::rename(path.c_str(), removed.c_str()) != 0) continue;
        // Another thread may have files open and write more of them.
        constexpr int kAttempts = 20;
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            fs::remove_all(removed, error);
            if (!error) break;
        }
    }
}

}  // namespace vila
