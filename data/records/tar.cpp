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

// The kind of a member, by the type in its header.
enum class MemberKind { File, Link, Extension, Other };

MemberKind kind_of(char type, const std::string& name) {
    switch (type) {
        case '\0':  // in old files, also directories, whose names end in a slash
            return name.ends_with('/') ? MemberKind::Other : MemberKind::File;
        case '0':
        case '7':  // contiguous
            return MemberKind::File;
        case '1':  // hard link
        case '2':  // symbolic link
        case 'S':  // GNU: sparse file
            return MemberKind::Link;
        case 'L':  // GNU: the next name
        case 'K':  // GNU: the next link target
        case 'x':  // pax: fields of the next member
        case 'g':  // pax: fields of all members that follow, such as a comment
            return MemberKind::Extension;
        default:
            return MemberKind::Other;
    }
}

// Reads the headers of a tar file one after the other.
class TarReader {
  public:
    explicit TarReader(const std::filesystem::path& path) : path_(path), file_(path) {}

    TarIndex read() {
        TarIndex index;
        while (read_header()) read_member(index);
        index.unread = find_byte();
        VILA_CHECK(extension_.name.empty() && extension_.bytes < 0, path_.string(),
                   " is cut short: it ends after an extended header, at offset ", file_.size());
        return index;
    }

  private:
    // Returns false at the end of the archive.
    bool read_header() {
        if (offset_ >= file_.size()) return false;
        const int64_t bytes = std::min(kBlock, file_.size() - offset_);
        header_ = {};
        file_.read_at(offset_, header_.data(), bytes);
        if (std::all_of(header_.begin(), header_.end(), [](char c) { return c == '\0'; }))
            return false;
        VILA_CHECK(bytes == kBlock, path_.string(), " is cut short: it ends within the header at ",
                   "offset ", offset_);
        VILA_CHECK(checksum_holds(header_), path_.string(),
                   " is damaged, or not a tar file: the header at offset ", offset_,
                   " has a wrong checksum");
        return true;
    }

    // Returns the offset of the first byte from here on that is not zero, or -1.
    int64_t find_byte() const {
        std::vector<char> bytes(size_t{1} << 16);
        for (int64_t offset = offset_; offset < file_.size();) {
            const int64_t count =
                std::min(static_cast<int64_t>(bytes.size()), file_.size() - offset);
            file_.read_at(offset, bytes.data(), count);
            const auto end = bytes.begin() + count;
            const auto found = std::find_if(bytes.begin(), end, [](char c) { return c != '\0'; });
            if (found != end) return offset + (found - bytes.begin());
            offset += count;
        }
        return -1;
    }

    void read_member(TarIndex& index) {
        const std::string name = extension_.name.empty() ? header_name(header_) : extension_.name;
        const MemberKind kind = kind_of(header_[156], name);
        int64_t bytes = header_number(header_, 124, 12);
        if (kind != MemberKind::Extension && extension_.bytes >= 0) bytes = extension_.bytes;
        // Links, devices and folders have no data, whatever their header says.
        if (header_[156] >= '1' && header_[156] <= '6') bytes = 0;
        offset_ += kBlock;
        VILA_CHECK(bytes >= 0 && bytes <= file_.size() - offset_, path_.string(),
                   " is cut short: the member at offset ", offset_ - kBlock, " has ", bytes,
                   " bytes, of which the file holds ", file_.size() - offset_);
        if (kind == MemberKind::Extension) {
            read_extension(bytes);
        } else {
            if (kind == MemberKind::File) index.files.push_back({name, offset_, bytes});
            if (kind == MemberKind::Link) index.links.push_back(name);
            extension_ = {};
        }
        offset_ += (bytes + kBlock - 1) / kBlock * kBlock;
    }

    void read_extension(int64_t bytes) {
        VILA_CHECK(bytes <= kMaxExtension, path_.string(), " has an extended header of ", bytes,
                   " bytes at offset ", offset_ - kBlock, ": at most ", kMaxExtension, " are read");
        std::string text(static_cast<size_t>(bytes), '\0');
        file_.read_at(offset_, text.data(), bytes);
        if (header_[156] == 'x') read_pax(text, extension_);
        if (header_[156] == 'L') extension_.name = text.substr(0, text.find('\0'));
    }

    const std::filesystem::path path_;
    const RandomAccessFile file_;
    int64_t offset_ = 0;
    Header header_{};
    Extension extension_;
};

}  // namespace

TarIndex read_tar_index(const std::filesystem::path& path) {
    return TarReader(path).read();
}

}  // namespace vila::data
