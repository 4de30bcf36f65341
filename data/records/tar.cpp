#include "data/records/tar.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "tensor/check.h"
#include "tensor/file.h"

namespace vila::data {

namespace {

constexpr int64_t kBlock = 512;  // bytes; headers are one block, data is padded to blocks
// The longest extended header that is accepted, in bytes; names and sizes need far less.
constexpr int64_t kMaxExtension = int64_t{1} << 20;

using Header = std::array<char, kBlock>;

std::string_view header_text(const Header& header, size_t offset, size_t length) {
    const std::string_view field(header.data() + offset, length);
    return field.substr(0, field.find('\0'));
}

// Reads a number: octal digits, or big-endian binary if the top bit is set (GNU's form for members
// of 8 GiB and more).
int64_t header_number(const Header& header, size_t offset, size_t length) {
    int64_t value = 0;
    if (header[offset] & 0x80) {
        for (size_t i = length - 8; i < length; ++i)
            value = value << 8 | static_cast<uint8_t>(header[offset + i]);
        return value;
    }
    for (const char c : header_text(header, offset, length))
        if (c >= '0' && c <= '7') value = value * 8 + (c - '0');
    return value;
}

bool checksum_holds(const Header& header) {
    int64_t sum = 0;
    for (size_t i = 0; i < header.size(); ++i)
        sum += i >= 148 && i < 156 ? ' ' : static_cast<uint8_t>(header[i]);
    return sum == header_number(header, 148, 8);
}

std::string header_name(const Header& header) {
    const std::string name(header_text(header, 0, 100));
    const bool is_ustar = std::memcmp(header.data() + 257, "ustar", 6) == 0;
    const std::string prefix(is_ustar ? header_text(header, 345, 155) : "");
    return prefix.empty() ? name : prefix + "/" + name;
}

// The fields of an extended header, which replace those of the next member's header.
struct Extension {
    std::string name;
    int64_t bytes = -1;
};

// Reads a pax header: records of the form "LENGTH KEY=VALUE\n", where LENGTH counts the whole
// record.
void read_pax(std::string_view text, Extension& extension) {
    while (!text.empty()) {
        const size_t space = text.find(' ');
        if (space == std::string_view::npos) return;
        const size_t length =
            std::strtoull(std::string(text.substr(0, space)).c_str(), nullptr, 10);
        if (length <= space + 1 || length > text.size()) return;
        const std::string_view record = text.substr(space + 1, length - space - 2);
        const size_t equals = record.find('=');
        if (equals == std::string_view::npos) return;
        const std::string value(record.substr(equals + 1));
        if (record.substr(0, equals) == "path") extension.name = value;
        if (record.substr(0, equals) == "size")
            extension.bytes = std::strtoll(value.c_str(), nullptr, 10);
        text.remove_prefix(length);
    }
}

}  // namespace

std::vector<TarMember> read_tar_index(const std::filesystem::path& path) {
    const RandomAccessFile file(path);
    std::vector<TarMember> members;
    Extension extension;
    int64_t offset = 0;
    while (offset + kBlock <= file.size()) {
        Header header;
        file.read_at(offset, header.data(), kBlock);
        if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; })) break;
        VILA_CHECK(checksum_holds(header), path.string(),
                   " is damaged, or not a tar file: the header at offset ", offset,
                   " has a wrong checksum");
        const char type = header[156];
        int64_t bytes = header_number(header, 124, 12);
        const bool is_extension = type == 'L' || type == 'x';
        if (!is_extension && extension.bytes >= 0) bytes = extension.bytes;
        offset += kBlock;
        VILA_CHECK(bytes >= 0 && bytes <= file.size() - offset, path.string(),
                   " is cut short: the member at offset ", offset - kBlock, " has ", bytes,
                   " bytes, of which the file holds ", file.size() - offset);
        if (is_extension) {
            VILA_CHECK(bytes <= kMaxExtension, path.string(), " has an extended header of ", bytes,
                       " bytes at offset ", offset - kBlock);
            std::string text(static_cast<size_t>(bytes), '\0');
            file.read_at(offset, text.data(), bytes);
            if (type == 'x')
                read_pax(text, extension);
            else
                extension.name = text.substr(0, text.find('\0'));
        } else {
            if (type == '0' || type == '\0')
                members.push_back(
                    {extension.name.empty() ? header_name(header) : extension.name, offset, bytes});
            extension = {};
        }
        offset += (bytes + kBlock - 1) / kBlock * kBlock;
    }
    return members;
}

}  // namespace vila::data
