#pragma once

// Shared by the fuzz targets: a file in memory, and the check that a reader refuses bytes only in
// the permitted way.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "tensor/check.h"

namespace vila::fuzz {

// A file in memory, with the path /proc/self/fd/N.
class MemoryFile {
  public:
    explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("fuzz", 0)) {
        if (descriptor_ < 0) std::abort();
        while (!bytes.empty()) {
            const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
            if (written <= 0) std::abort();
            bytes.remove_prefix(static_cast<size_t>(written));
        }
    }
    ~MemoryFile() { ::close(descriptor_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  private:
    int descriptor_;
};

inline std::string_view text_of(const uint8_t* data, size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// Runs `read`. It may throw an Error of one line that names `where`; anything else is a finding.
template <typename Read>
void expect_read_or_refused(const std::string& where, const Read& read) {
    try {
        read();
    } catch (const Error& error) {
        const std::string_view message = error.what();
        if (message.find('\n') != std::string_view::npos ||
            message.find(where) == std::string_view::npos)
            std::abort();
    }
}

}  // namespace vila::fuzz
