#pragma once

// Unpacks gzip files.

#include <filesystem>
#include <string>

namespace vila::data {

// Returns the content of a gzip file; several members are joined. Throws if it is damaged or cut
// short, and in a build without zlib.
std::string read_gzip(const std::filesystem::path& path);

// Returns whether this build has zlib.
bool has_gzip();

}  // namespace vila::data
