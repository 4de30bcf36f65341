#include "tensor/temporary_name.h"

#include <unistd.h>

#include <climits>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "tensor/check.h"

namespace vila {

namespace fs = std::filesystem;

namespace {

std::string own_suffix() {
    return str(".tmp-", ::getpid());
}

bool is_own_temporary(const fs::path& path) {
    const std::string name = path.filename().string(), suffix = own_suffix();
    const size_t at = name.rfind(suffix);
    if (at == std::string::npos) return false;
    const size_t end = at + suffix.size();
    return end == name.size() || name[end] == '-';
}

}  // namespace

fs::path temporary_sibling(const fs::path& path, int attempt) {
    std::string suffix = own_suffix();
    if (attempt > 0) suffix += str("-", attempt);
    const std::string name = path.filename().string();
    return path.parent_path() / (name.substr(0, NAME_MAX - suffix.size()) + suffix);
}

// Finds the files by the open descriptors of the process.
void remove_own_temporaries() {
    std::error_code error;
    std::vector<fs::path> temporaries;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
        const fs::path target = fs::read_symlink(entry.path(), error);
        if (!error && is_own_temporary(target)) temporaries.push_back(target);
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
