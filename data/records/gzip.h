#pragma once

// Unpacks gzip files.

#include <cstdint>
#include <filesystem>
#include <string>

namespace vila::data {

// Returns the content of a gzip file; several members are joined, with or without zeros between
// them. Throws if it is damaged or cut short, if anything but members and zeros is in it, if it
// unpacks to over 256 MiB and 200 times its size, and in a build without zlib.
std::string read_gzip(const std::filesystem::path& path);

// Returns whether this build has zlib.
bool has_gzip();

}  // namespace vila::data
