#include "data/records/text_file.h"

#include <cstdint>

#include "data/text/unicode.h"
#include "tensor/check.h"

namespace vila::data {

namespace {

using namespace std::string_view_literals;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF"sv;

// A kind of file that is not text: the bytes at its beginning, what it is, and the fix.
struct FileKind {
    std::string_view signature;
    const char* what;
    const char* fix;
};
constexpr FileKind kFileKinds[] = {
    {"PK\x03\x04"sv, "a zip archive", "unpack it (unzip FILE) and give the file in it"},
    {"PK\x05\x06"sv, "an empty zip archive", "give a file with records"},
    {"\x28\xB5\x2F\xFD"sv, "compressed by zstd", "unpack it with unzstd"},
    {"BZh91AY&SY"sv, "compressed by bzip2", "unpack it with bunzip2"},
    {"\xFD\x37zXZ\0"sv, "compressed by xz", "unpack it with unxz"},
    {"7z\xBC\xAF\x27\x1C"sv, "a 7z archive", "unpack it (7z x FILE) and give the file in it"},
    {"Rar!\x1A\x07"sv, "a rar archive", "unpack it and give the file in it"},
    {"PAR1\x15"sv, "a parquet table", "convert it to JSON lines, one object per row"},
    {"ARROW1\0"sv, "an Arrow table", "convert it to JSON lines, one object per row"},
    {"\x93NUMPY"sv, "a NumPy array", "convert it to JSON lines, one object per record"},
    {"\x80\x04\x95"sv, "a Python pickle", "convert it to JSON lines, one object per record"},
    {"version https://git-lfs"sv, "a git-lfs pointer, not the file itself", "run git lfs pull"},
    {"\x00\x05\x16\x07"sv, "metadata that macOS keeps beside a file", "give the file itself"},
};

// UTF-16 with a byte-order mark, or with a zero byte beside each of the first ASCII characters.
bool is_utf16(std::string_view start) {
    if (start.starts_with("\xFF\xFE"sv) || start.starts_with("\xFE\xFF"sv)) return true;
    if (start.size() < 4) return false;
    const auto zero = [&](size_t i) { return start[i] == '\0'; };
    return (!zero(0) && zero(1) && !zero(2) && zero(3)) ||
           (zero(0) && !zero(1) && zero(2) && !zero(3));
}

void check_is_not_utf16(std::string_view start, const std::string& name) {
    VILA_CHECK(!is_utf16(start), name,
               " is UTF-16 text: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)");
}

}  // namespace

bool is_gzip(std::string_view start) {
    return start.starts_with("\x1F\x8B\x08"sv);
}

void check_is_text(std::string_view start, const std::string& name) {
    for (const FileKind& kind : kFileKinds)
        VILA_CHECK(!start.starts_with(kind.signature), name, " is ", kind.what, ": ", kind.fix);
    check_is_not_utf16(start, name);
    constexpr size_t kTarMark = 257;  // the offset of "ustar" in a tar file
    VILA_CHECK(start.size() < kStartBytes || start.substr(kTarMark, 5) != "ustar", name,
               " is a tar file: unpack it, or give it a name that ends in .tar if it holds images "
               "with captions");
}

std::string read_text(std::string_view bytes) {
    check_is_not_utf16(bytes, "the text");
    if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
    std::string text;
    text.reserve(bytes.size());
    for (size_t i = 0; i < bytes.size();) {
        if (static_cast<unsigned char>(bytes[i]) < 0x80) {
            const bool pair = bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n';
            if (!pair) text += bytes[i] == '\r' ? '\n' : bytes[i];
            ++i;
            continue;
        }
        const Utf8Char next = first_char(bytes.substr(i));
        VILA_CHECK(next.code != kInvalidCode, "byte ", i,
                   " of the text is not UTF-8: convert the text (iconv -f LATIN1 -t UTF-8, if it "
                   "is Latin-1)");
        text.append(bytes.substr(i, static_cast<size_t>(next.bytes)));
        i += static_cast<size_t>(next.bytes);
    }
    return text;
}

}  // namespace vila::data
