#pragma once

// Reads the index of a tar file: the names of its members, and where their bytes are.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vila::data {

struct TarMember {
    std::string name;
    int64_t offset = 0;  // of its first byte, from the start of the tar file
    int64_t bytes = 0;   // its size
};

// Returns the regular files of an uncompressed tar file in stored order. Understands ustar, GNU
// long names, and pax paths and sizes. Throws if the file is cut short or the checksum of a header
// is wrong.
std::vector<TarMember> read_tar_index(const std::filesystem::path& path);

}  // namespace vila::data
