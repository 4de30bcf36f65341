#pragma once

// The index of a tar file: which members it has and where their bytes are.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vila::data {

struct TarMember {
    std::string name;
    int64_t offset = 0;  // of its first byte, from the start of the tar file
    int64_t bytes = 0;
};

// The regular files of an uncompressed tar in stored order: ustar, GNU long names and pax paths and
// sizes. Throws when the file is cut short or a header's checksum is wrong.
std::vector<TarMember> read_tar_index(const std::filesystem::path& path);

}  // namespace vila::data
