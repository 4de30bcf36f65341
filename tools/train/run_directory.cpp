#include "tools/train/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::tools {

namespace fs = std::filesystem;

RunDirectory::RunDirectory(const fs::path& root, bool owner) : root_(fs::absolute(root)) {
    if (!owner) return;
    std::error_code error;
    fs::create_directories(root_, error);
    VILA_CHECK(!error, "--out ", root_.string(), ": cannot create: ", error.message());
    const std::string file = (root_ / ".lock").string();
    lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    VILA_CHECK(lock_ >= 0, file, ": cannot open: ", std::strerror(errno));
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
        const int code = errno;
        ::close(lock_);
        throw Error(str("--out ", root_.string(),
                        code == EWOULDBLOCK ? ": another process is training there"
                                            : str(": cannot lock: ", std::strerror(code))));
    }
    remove_leftovers();
}

void RunDirectory::remove_leftovers() const {
    std::vector<fs::path> leftovers;
    for (const auto& entry : fs::directory_iterator(root_))
        if (entry.path().filename().string().find(".tmp-") != std::string::npos)
            leftovers.push_back(entry.path());
    for (const fs::path& leftover : leftovers) fs::remove_all(leftover);
}

RunDirectory::~RunDirectory() {
    if (lock_ >= 0) ::close(lock_);
}

void RunDirectory::store_recipe(const Recipe& recipe) const {
    if (fs::exists(this->recipe())) {
        const Recipe before = load_recipe(this->recipe().string(), {});
        const std::vector<std::string> differences = recipe_differences(before, recipe);
        if (differences.empty()) return;
        std::string list;
        for (const std::string& difference : differences) list += "; " + difference;
        VILA_CHECK(!has_begun(), "--out ", root_.string(), " holds a run of another recipe", list,
                   "; resume with the old values or choose another --out");
    }
    fs::remove_all(tokenizer());
    write_file_atomic(this->recipe(), recipe_text(recipe));
}

bool RunDirectory::has_begun() const {
    return finished() || (fs::exists(checkpoints()) && !fs::is_empty(checkpoints()));
}

bool RunDirectory::finished() const {
    return fs::exists(model() / "config.json");
}

}  // namespace vila::tools
