#include "tensor/zip_file.h"

#include <algorithm>
#include <array>

#include "tensor/check.h"
#include "tensor/json_scanner.h"

namespace vila {

namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;
constexpr int64_t kLocalHeaderBytes = 30;
constexpr int64_t kEndBytes = 22;
constexpr int64_t kEnd64Bytes = 56;
constexpr int64_t kEnd64LocatorBytes = 20;

// The value of 32-bit and 16-bit fields whose real value is in a zip64 record.
constexpr uint32_t kIn64 = 0xffffffff;
constexpr uint32_t kIn64Short = 0xffff;
constexpr uint32_t kZip64Extra = 1;

constexpr uint32_t kEncrypted = 1;  // bit of the flags
constexpr int64_t kMaxMembers = 1'000'000;
constexpr int64_t kMaxDirectoryBytes = int64_t{256} << 20;

// Reads little-endian fields from bytes in memory. Throws at the end of the bytes.
class Fields {
  public:
    Fields(const std::string& bytes, int64_t at = 0) : bytes_(bytes), at_(at) {}

    int64_t at() const { return at_; }
    bool at_end() const { return at_ == static_cast<int64_t>(bytes_.size()); }
    std::string text(int64_t length) {
        VILA_CHECK(length <= static_cast<int64_t>(bytes_.size()) - at_,
                   "its directory is cut short");
        at_ += length;
        return bytes_.substr(static_cast<size_t>(at_ - length), static_cast<size_t>(length));
    }
    uint64_t number(int64_t length) {
        const std::string bytes = text(length);
        uint64_t value = 0;
        for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
            value = value << 8 | static_cast<unsigned char>(*byte);
        return value;
    }
    uint32_t u16() { return static_cast<uint32_t>(number(2)); }
    uint32_t u32() { return static_cast<uint32_t>(number(4)); }
    // A 64-bit size or offset. No file exceeds int64.
    int64_t size64() {
        const uint64_t value = number(8);
        VILA_CHECK(value <= uint64_t{1} << 62, "a size of ", value, " in its directory");
        return static_cast<int64_t>(value);
    }
    void skip(int64_t length) { text(length); }

  private:
    const std::string& bytes_;
    int64_t at_;
};

std::string bytes_at(const RandomAccessFile& file, int64_t offset, int64_t bytes) {
    VILA_CHECK(0 <= offset && offset <= file.size() - bytes, "bytes [", offset, ", ", offset, " + ",
               bytes, ") lie outside its ", file.size());
    std::string result(static_cast<size_t>(bytes), '\0');
    file.read_at(offset, result.data(), bytes);
    return result;
}

struct Directory {
    int64_t begin = 0, bytes = 0, members = 0;
    int64_t end() const { return begin + bytes; }
};

// The record that zip64 adds before the end record; the two must agree.
Directory read_end64(const RandomAccessFile& file, const Directory& old) {
    const int64_t locator_at = file.size() - kEndBytes - kEnd64LocatorBytes;
    const std::string locator_bytes = bytes_at(file, locator_at, kEnd64LocatorBytes);
    Fields locator(locator_bytes, 4);
    locator.skip(4);
    const int64_t record_at = locator.size64();
    VILA_CHECK_EQ(locator.u32(), 1U, "parts of the archive");
    VILA_CHECK_EQ(record_at, locator_at - kEnd64Bytes, "place of its zip64 record");
    const std::string bytes = bytes_at(file, record_at, kEnd64Bytes);
    Fields record(bytes);
    VILA_CHECK_EQ(record.u32(), kEnd64, "signature of its zip64 record");
    VILA_CHECK_EQ(record.size64(), kEnd64Bytes - 12, "length of its zip64 record");
    record.skip(4);
    VILA_CHECK(record.number(8) == 0, "an archive in several parts");
    Directory directory;
    directory.members = record.size64();
    VILA_CHECK_EQ(record.size64(), directory.members, "members of its zip64 record");
    directory.bytes = record.size64();
    directory.begin = record.size64();
    const auto agrees = [](int64_t before, int64_t now, uint32_t elsewhere) {
        return before == now || before == static_cast<int64_t>(elsewhere);
    };
    VILA_CHECK(agrees(old.members, directory.members, kIn64Short) &&
                   agrees(old.bytes, directory.bytes, kIn64) &&
                   agrees(old.begin, directory.begin, kIn64),
               "its two end records disagree");
    VILA_CHECK(directory.begin <= record_at && directory.end() == record_at,
               "its directory does not end where the zip64 record begins");
    return directory;
}

Directory read_end(const RandomAccessFile& file) {
    VILA_CHECK(file.size() >= kEndBytes, "too short for a zip archive");
    const int64_t end_at = file.size() - kEndBytes;
    const std::string bytes = bytes_at(file, end_at, kEndBytes);
    Fields end(bytes);
    VILA_CHECK(end.u32() == kEnd, "not a whole zip archive: it does not end with an end record");
    VILA_CHECK(end.u32() == 0, "an archive in several parts");
    Directory directory;
    const uint32_t here = end.u16();
    directory.members = end.u16();
    VILA_CHECK_EQ(static_cast<int64_t>(here), directory.members, "members in this part");
    directory.bytes = end.u32();
    directory.begin = end.u32();
    VILA_CHECK_EQ(end.u16(), 0U, "bytes of comment");
    if (end_at >= kEnd64LocatorBytes + kEnd64Bytes) {
        const std::string mark = bytes_at(file, end_at - kEnd64LocatorBytes, 4);
        if (Fields(mark).u32() == kEnd64Locator) return read_end64(file, directory);
    }
    VILA_CHECK(directory.end() == end_at, "its directory does not end where the end record begins");
    return directory;
}

struct Entry {
    ZipMember member;
    int64_t header_at = 0;  // its local header
};

// Sizes that do not fit 32 bits are in an extra field, in a fixed order.
void read_zip64_extra(const std::string& extra, const std::vector<int64_t*>& missing) {
    Fields fields(extra);
    while (!missing.empty() && !fields.at_end()) {
        const uint32_t kind = fields.u16();
        const std::string content = fields.text(fields.u16());
        if (kind != kZip64Extra) continue;
        Fields values(content);
        for (int64_t* value : missing) *value = values.size64();
        return;
    }
    VILA_CHECK(missing.empty(), "a member lacks its zip64 sizes");
}

Entry read_entry(Fields& fields) {
    Entry entry;
    VILA_CHECK_EQ(fields.u32(), kDirectoryEntry, "signature of a directory entry");
    fields.skip(4);
    const uint32_t flags = fields.u16();
    const uint32_t method = fields.u16();
    fields.skip(4);
    entry.member.crc = fields.u32();
    int64_t packed = fields.u32();
    entry.member.size = fields.u32();
    const uint32_t name_bytes = fields.u16();
    const uint32_t extra_bytes = fields.u16();
    const uint32_t comment_bytes = fields.u16();
    VILA_CHECK_EQ(fields.u16(), 0U, "part of a member");
    fields.skip(6);
    entry.header_at = fields.u32();
    entry.member.name = fields.text(name_bytes);
    const std::string extra = fields.text(extra_bytes);
    fields.skip(comment_bytes);
    const std::string shown = json_quoted(entry.member.name);
    VILA_CHECK(method == 0, "member ", shown, " is compressed: PyTorch stores its members");
    VILA_CHECK((flags & kEncrypted) == 0, "member ", shown, " is encrypted");
    std::vector<int64_t*> missing;
    for (int64_t* value : {&entry.member.size, &packed, &entry.header_at})
        if (*value == static_cast<int64_t>(kIn64)) missing.push_back(value);
    read_zip64_extra(extra, missing);
    VILA_CHECK_EQ(packed, entry.member.size, "stored bytes of member ", shown);
    return entry;
}

std::vector<Entry> read_directory(const RandomAccessFile& file, const Directory& directory) {
    VILA_CHECK(directory.members <= kMaxMembers && directory.bytes <= kMaxDirectoryBytes,
               "its directory of ", directory.members, " members and ", directory.bytes,
               " bytes is too long");
    const std::string bytes = bytes_at(file, directory.begin, directory.bytes);
    Fields fields(bytes);
    std::vector<Entry> entries;
    for (int64_t i = 0; i < directory.members; ++i) entries.push_back(read_entry(fields));
    VILA_CHECK(fields.at_end(), "bytes after the last entry of its directory");
    return entries;
}

// The offset of the bytes of a member: after its local header, which has name lengths of its own.
void locate(const RandomAccessFile& file, const Directory& directory, Entry& entry) {
    ZipMember& member = entry.member;
    const std::string shown = json_quoted(member.name);
    VILA_CHECK(entry.header_at <= directory.begin - kLocalHeaderBytes, "member ", shown,
               " begins at byte ", entry.header_at, ", outside the archive");
    const std::string bytes = bytes_at(file, entry.header_at, kLocalHeaderBytes);
    Fields header(bytes);
    VILA_CHECK_EQ(header.u32(), kLocalHeader, "signature of member ", shown);
    header.skip(4);
    VILA_CHECK_EQ(header.u16(), 0U, "compression of member ", shown, " in its own header");
    header.skip(16);
    const int64_t name_bytes = header.u16();
    const int64_t extra_bytes = header.u16();
    const int64_t name_at = entry.header_at + kLocalHeaderBytes;
    VILA_CHECK(name_at + name_bytes <= directory.begin &&
                   bytes_at(file, name_at, name_bytes) == member.name,
               "member ", shown, " has another name in its own header");
    member.begin = name_at + name_bytes + extra_bytes;
    VILA_CHECK(member.begin <= directory.begin && member.size <= directory.begin - member.begin,
               "member ", shown, " runs into the directory");
}

std::array<uint32_t, 256> crc_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) * 0xedb88320U);
        table[i] = value;
    }
    return table;
}

uint32_t crc32(const std::string& bytes) {
    const std::array<uint32_t, 256> table = crc_table();
    uint32_t value = ~0U;
    for (const char c : bytes)
        value = table[(value ^ static_cast<unsigned char>(c)) & 0xffU] ^ (value >> 8);
    return ~value;
}

}  // namespace

ZipFile::ZipFile(std::shared_ptr<const RandomAccessFile> file) : file_(std::move(file)) {
    try {
        const Directory directory = read_end(*file_);
        std::vector<Entry> entries = read_directory(*file_, directory);
        std::sort(entries.begin(), entries.end(),
                  [](const Entry& a, const Entry& b) { return a.header_at < b.header_at; });
        int64_t covered = 0;
        for (Entry& entry : entries) {
            locate(*file_, directory, entry);
            const std::string shown = json_quoted(entry.member.name);
            VILA_CHECK(entry.header_at >= covered, "member ", shown, " overlaps another one");
            covered = entry.member.begin + entry.member.size;
            const bool is_new = index_by_name_.emplace(entry.member.name, members_.size()).second;
            VILA_CHECK(is_new, "duplicate member ", shown);
            members_.push_back(entry.member);
        }
    } catch (const Error& error) {
        const std::string what = error.what();
        const std::string where = file_->path().string() + ": ";
        throw Error(what.starts_with(where) ? what : where + what);
    }
}

const ZipMember* ZipFile::find(const std::string& name) const {
    const auto found = index_by_name_.find(name);
    return found == index_by_name_.end() ? nullptr : &members_[found->second];
}

std::string ZipFile::read(const ZipMember& member, int64_t max_bytes) const {
    const std::string where = str(file_->path().string(), ": member ", json_quoted(member.name));
    VILA_CHECK(member.size <= max_bytes, where, " has ", member.size, " bytes: expected at most ",
               max_bytes);
    std::string bytes(static_cast<size_t>(member.size), '\0');
    file_->read_at(member.begin, bytes.data(), member.size);
    VILA_CHECK(crc32(bytes) == member.crc, where, " is damaged: its checksum is wrong");
    return bytes;
}

}  // namespace vila
