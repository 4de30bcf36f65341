#pragma once

// A temporary directory for a death test in "threadsafe" style. Its statement runs in another
// process, which repeats the test up to there; both processes get the same directory. The first one
// removes it.

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tests/support/temporary_directory.h"

namespace vila {

class DeathTestFolder {
  public:
    DeathTestFolder() {
        if (const char* path = std::getenv(kVariable)) {
            path_ = path;
            return;
        }
        own_.emplace();
        path_ = own_->path();
        ::setenv(kVariable, path_.c_str(), 1);
    }
    ~DeathTestFolder() {
        if (own_) ::unsetenv(kVariable);
    }
    DeathTestFolder(const DeathTestFolder&) = delete;
    DeathTestFolder& operator=(const DeathTestFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    static constexpr const char* kVariable = "VILA_DEATH_TEST_FOLDER";

    std::optional<TemporaryDirectory> own_;
    std::filesystem::path path_;
};

}  // namespace vila
