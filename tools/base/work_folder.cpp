#include "tools/base/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

#include "tensor/check.h"
#include "tensor/file.h"
#include "tensor/temporary_name.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLock = ".lock";
constexpr const char* kProcess = "process";

// Returns whether standard output or standard error of this process goes to the file.
bool is_own_stream(const fs::path& path) {
    struct stat file = {};
    if (::stat(path.c_str(), &file) != 0) return false;
    return std::ranges::any_of(
        std::initializer_list<int>{STDOUT_FILENO, STDERR_FILENO}, [&](int descriptor) {
            struct stat stream = {};
            return ::fstat(descriptor, &stream) == 0 && stream.st_dev == file.st_dev &&
                   stream.st_ino == file.st_ino;
        });
}

// Locks a file. A process that was just killed may hold the lock for a moment, so this tries for a
// second. Returns false, with errno set, if the lock cannot be had.
bool lock_soon(int descriptor) {
    for (int tries = 20; ::flock(descriptor, LOCK_EX | LOCK_NB) != 0; --tries) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || tries == 0) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return true;
}

}  // namespace

WorkFolder::WorkFolder(fs::path folder, const Kind& kind, bool adopt) : folder_(std::move(folder)) {
    const fs::path file = folder_ / kLock;
    struct stat status = {};
    const bool has_lock =
        ::lstat(file.c_str(), &status) == 0 && (!S_ISREG(status.st_mode) || status.st_size > 0);
    VILA_CHECK(has_lock || adopt || !has_other_files(), folder_.string(), ": holds files, but not ",
               kind.what, "; choose a new or empty folder, or move its files away");
    std::error_code error;
    fs::create_directories(folder_, error);
    VILA_CHECK(!error, folder_.string(), ": cannot create: ", error.message());
    take_lock(kind);
    try {
        const std::string text = read_lock(), title = str(kind.title, "\n");
        VILA_CHECK(text.empty() || text.starts_with(title), file.string(), ": not the lock of ",
                   kind.what, "; choose another folder");
        is_new_ = text.empty();
        if (is_new_)
            VILA_CHECK(write_all(lock_, title.data(), static_cast<int64_t>(title.size())),
                       file.string(), ": cannot write: ", std::strerror(errno));
        record(kProcess, process_nonce());
    } catch (...) {
        ::close(lock_);
        throw;
    }
}

WorkFolder::~WorkFolder() {
    ::close(lock_);
}

bool WorkFolder::has_other_files() const {
    if (!fs::exists(folder_)) return false;
    VILA_CHECK(fs::is_directory(folder_), folder_.string(), ": not a folder");
    const fs::directory_iterator entries(folder_);
    return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
        const std::string name = entry.path().filename().string();
        // .lock has no content yet; lost+found is in the root folder of many file systems.
        return name != kLock && name != "lost+found" && !is_own_stream(entry.path());
    });
}

void WorkFolder::take_lock(const Kind& kind) {
    const std::string file = (folder_ / kLock).string();
    lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
    VILA_CHECK(lock_ >= 0, file, ": cannot open: ", std::strerror(errno));
    struct stat status = {};
    std::string reason;
    if (::fstat(lock_, &status) != 0 || !S_ISREG(status.st_mode))
        reason = ": not a regular file: " + file;
    else if (!lock_soon(lock_))
        reason = errno == EWOULDBLOCK ? str(": ", kind.busy)
                                      : str(": cannot lock: ", std::strerror(errno));
    if (reason.empty()) return;
    ::close(lock_);
    throw Error(folder_.string() + reason);
}

void WorkFolder::remove_leftovers(const std::vector<fs::path>& folders) const {
    const std::vector<std::string> processes = values_of(kProcess);
    std::vector<fs::path> leftovers;
    for (const fs::path& folder : folders) {
        if (!fs::is_directory(folder)) continue;
        for (const auto& entry : fs::directory_iterator(folder))
            if (std::ranges::any_of(processes, [&](const std::string& nonce) {
                    return is_temporary_of(entry.path(), nonce);
                }))
                leftovers.push_back(entry.path());
    }
    for (const fs::path& leftover : leftovers) fs::remove_all(leftover);
}

std::string WorkFolder::read_lock() const {
    std::string text;
    char block[4096];
    for (ssize_t got;
         (got = ::pread(lock_, block, sizeof block, static_cast<off_t>(text.size()))) != 0;) {
        if (got < 0 && errno == EINTR) continue;
        VILA_CHECK(got > 0, (folder_ / kLock).string(), ": cannot read: ", std::strerror(errno));
        text.append(block, static_cast<size_t>(got));
    }
    return text;
}

void WorkFolder::record(const std::string& name, const std::string& value) const {
    // If a crash cut the last line short, end it first.
    const std::string text = read_lock();
    const std::string line =
        str(text.empty() || text.back() == '\n' ? "" : "\n", name, " ", value, "\n");
    VILA_CHECK(write_all(lock_, line.data(), static_cast<int64_t>(line.size())),
               (folder_ / kLock).string(), ": cannot write: ", std::strerror(errno));
}

std::vector<std::string> WorkFolder::values_of(const std::string& name) const {
    std::vector<std::string> values;
    std::istringstream lines(read_lock());
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(name + " ")) values.push_back(line.substr(name.size() + 1));
    return values;
}

std::optional<std::string> WorkFolder::recorded(const std::string& name) const {
    std::vector<std::string> values = values_of(name);
    if (values.empty()) return std::nullopt;
    return std::move(values.back());
}

}  // namespace vila::tools
