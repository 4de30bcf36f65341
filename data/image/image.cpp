// Recognizes the format of an image file, enforces the limits, and turns images upright.

#include "data/image/image.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "data/image/image_formats.h"
#include "tensor/file.h"
#include "tensor/shape.h"

namespace vila::data {

size_t Image::checked_bytes(int64_t width, int64_t height) {
    VILA_CHECK(width >= 0 && height >= 0, "an image of ", width, " x ", height,
               " pixels: sides must not be negative");
    return static_cast<size_t>(checked_mul(checked_mul(width, height), 3));
}

void check_image_size(const StoredSize& size, int64_t file_bytes, const std::string& name) {
    const int64_t width = size.width, height = size.height;
    VILA_CHECK(width > 0 && height > 0, name, ": the image is ", width, " x ", height,
               " pixels: both sides must be at least 1");
    VILA_CHECK(width <= kMaxImageSide && height <= kMaxImageSide, name, ": the image is ", width,
               " x ", height, " pixels: a side may have at most ", kMaxImageSide,
               "; shrink it first");
    const int64_t pixels = width * height;
    VILA_CHECK(pixels <= kMaxImagePixels, name, ": the image is ", width, " x ", height,
               " pixels: at most ", kMaxImagePixels, " in all are read; shrink it first");
    VILA_CHECK(
        pixels * 3 <= kFreeExpansionBytes || pixels * size.bits / 8 <= file_bytes * kMaxExpansion,
        name, ": ", file_bytes, " bytes claim to hold ", width, " x ", height,
        " pixels: no image expands more than ", kMaxExpansion,
        " times, so the file is damaged or cut short");
    check_decoding_memory(file_bytes * (1 + size.copies) + size.memory, size, name);
}

void check_decoding_memory(int64_t bytes, const StoredSize& size, const std::string& name) {
    constexpr int64_t kMegabyte = 1'000'000;
    VILA_CHECK(bytes <= kMaxDecodingBytes, name, ": decoding its ", size.width, " x ", size.height,
               " pixels takes ", bytes / kMegabyte, " MB of memory: at most ",
               kMaxDecodingBytes / kMegabyte, " MB are used; shrink it first");
}

namespace {

bool starts_with(Bytes bytes, const char* text, size_t length, size_t at = 0) {
    return bytes.size() >= at + length && std::memcmp(bytes.data() + at, text, length) == 0;
}

// Describes the first bytes of a file that is not an image, for the error message.
std::string describe_start(Bytes bytes) {
    const Bytes start = bytes.first(std::min<size_t>(bytes.size(), 16));
    const bool text = std::all_of(start.begin(), start.end(), [](uint8_t byte) {
        return std::isprint(byte) || byte == '\n' || byte == '\r' || byte == '\t';
    });
    std::string shown = text ? "text starting with \"" : "bytes";
    for (const uint8_t byte : start) {
        if (!text) {
            constexpr char kHex[] = "0123456789abcdef";
            shown += {' ', kHex[byte >> 4], kHex[byte & 15]};
        } else {
            shown += byte < ' ' ? ' ' : static_cast<char>(byte);
        }
    }
    return text ? shown + "\"" : shown;
}

struct Format {
    Decoded (*decode)(Bytes bytes, const std::string& name);
    StoredSize (*size)(Bytes start, const std::string& name);
};

// Returns the format of a file by its first bytes. Throws if it is none that can be read.
Format format_of(Bytes bytes, const std::string& name) {
    VILA_CHECK(!bytes.empty(), name, ": the image file is empty");
    if (starts_with(bytes, "\xff\xd8\xff", 3)) return {decode_jpeg, size_of_jpeg};
    if (starts_with(bytes, "\x89PNG\r\n\x1a\n", 8)) return {decode_png, size_of_png};
    if (starts_with(bytes, "GIF87a", 6) || starts_with(bytes, "GIF89a", 6))
        return {decode_gif, size_of_gif};
    if (starts_with(bytes, "RIFF", 4) && starts_with(bytes, "WEBP", 4, 8))
        return {decode_webp, size_of_webp};
    if (starts_with(bytes, "BM", 2)) return {decode_bmp, size_of_bmp};
    throw Error(str(name, ": not an image that can be read (JPEG, PNG, GIF, BMP",
                    has_webp() ? ", WebP" : "", "): found ", describe_start(bytes)));
}

void check_file_bytes(int64_t bytes, const std::string& name) {
    VILA_CHECK(bytes <= kMaxImageFileBytes, name, ": the image file has ", bytes,
               " bytes: at most ", kMaxImageFileBytes, " are read");
}

}  // namespace

ImageSize read_image_size(std::span<const uint8_t> start, int64_t file_bytes,
                          const std::string& name) {
    check_file_bytes(file_bytes, name);
    const StoredSize size = format_of(start, name).size(start, name);
    check_image_size(size, file_bytes, name);
    return {size.width, size.height};
}

Image decode_image(std::span<const uint8_t> bytes, const std::string& name) {
    const auto file_bytes = static_cast<int64_t>(bytes.size());
    check_file_bytes(file_bytes, name);
    Decoded decoded = format_of(bytes, name).decode(bytes, name);
    return apply_orientation(std::move(decoded.image), decoded.orientation.value(), file_bytes,
                             name);
}

Image load_image(const std::filesystem::path& path) {
    const std::string bytes = read_file(path, kMaxImageFileBytes);
    return decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()},
                        path.string());
}

}  // namespace vila::data
