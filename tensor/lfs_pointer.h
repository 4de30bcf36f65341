#pragma once

// Git LFS keeps a large file outside its repository, and until it is fetched a short text, the
// pointer, lies in its place.

#include <filesystem>
#include <string_view>

#include "tensor/check.h"

namespace vila {

// Throws, with the fix, if a file begins with `head`, the first line of a pointer.
inline void refuse_lfs_pointer(std::string_view head, const std::filesystem::path& path) {
    VILA_CHECK(!head.starts_with("version https://git-lfs.github.com/spec/"), path.string(),
               ": a Git LFS pointer, not the file itself: fetch it with `git lfs pull` in its "
               "repository");
}

}  // namespace vila
