#pragma once

// What a path names. Unlike std::filesystem::exists(), these functions do not take a file that
// cannot be found for one that is not there: a symbolic link whose target is missing, a loop of
// links, or a folder that may not be searched is an error that names the path.

#include <filesystem>

namespace vila {

enum class PathKind { Absent, File, Directory, Other };

// Follows links. Throws Error for a name with a NUL byte, FileError for a link whose target is
// missing and if the system cannot tell.
PathKind path_kind(const std::filesystem::path& path);

bool path_exists(const std::filesystem::path& path);
bool file_exists(const std::filesystem::path& path);
bool directory_exists(const std::filesystem::path& path);

}  // namespace vila
