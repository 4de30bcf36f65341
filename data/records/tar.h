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

struct TarIndex {
    std::vector<TarMember> files;    // the regular files in stored order
    std::vector<std::string> links;  // names of links and sparse files, whose bytes are elsewhere
    int64_t unread = -1;  // offset of the first byte other than zero after the archive; -1: none
};

// Reads the index of an uncompressed tar file. Understands ustar, GNU long names, and pax paths and
// sizes. Throws if the file is cut short, also within a header, or if the checksum of a header is
// wrong. A file whose end-of-archive blocks are missing is whole.
TarIndex read_tar_index(const std::filesystem::path& path);

}  // namespace vila::data
