#pragma once

// Tests whether a path is a file, a folder or absent. Unlike std::filesystem::exists(), these
// functions throw an error that names the path if it is a symbolic link without a target, if links
// form a loop, or if a folder may not be searched.

#include <filesystem>

namespace vila {

enum class PathKind { Absent, File, Directory, Other };

// Follows links. Throws Error for a name with a NUL byte, and FileError for a link whose target is
// missing or if the system cannot look the path up.
PathKind path_kind(const std::filesystem::path& path);

bool path_exists(const std::filesystem::path& path);
bool file_exists(const std::filesystem::path& path);
bool directory_exists(const std::filesystem::path& path);

}  // namespace vila
