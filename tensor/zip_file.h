#pragma once

// Reads ZIP archives whose members are stored without compression, as PyTorch writes them. The
// central directory is read and checked when the archive is opened; a member is then a range of
// bytes of the file. Zip64 is supported.
//
// Refused are compressed or encrypted members, archives in several parts or with a comment, and
// members that overlap each other or the directory, or have the same name.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor/file.h"

namespace vila {

struct ZipMember {
    std::string name;
    int64_t begin = 0;  // offset of its first byte in the file
    int64_t size = 0;   // in bytes
    uint32_t crc = 0;   // CRC-32 of its bytes, as the directory gives it
};

class ZipFile {
  public:
    // Throws Error("PATH: ...") if the archive is damaged or refused.
    explicit ZipFile(std::shared_ptr<const RandomAccessFile> file);

    // In the order of their bytes in the file.
    const std::vector<ZipMember>& members() const { return members_; }
    // Returns null if there is no member of that name.
    const ZipMember* find(const std::string& name) const;
    // The bytes of a member. Throws if it is longer than `max_bytes` or its checksum is wrong.
    std::string read(const ZipMember& member, int64_t max_bytes) const;

  private:
    std::shared_ptr<const RandomAccessFile> file_;
    std::vector<ZipMember> members_;
    std::map<std::string, size_t> index_by_name_;
};

}  // namespace vila
