#pragma once

// Unpacking of gzip files.

#include <filesystem>
#include <string>

namespace vila::data {

// The content of a gzip file (several members are joined). Throws when it is damaged or cut short,
// and in a build without zlib.
std::string read_gzip(const std::filesystem::path& path);

// Whether this build has zlib.
bool has_gzip();

}  // namespace vila::data
