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

void check_image_size(int64_t width, int64_t height, int64_t file_bytes, const std::string& name) {
    VILA_CHECK(width > 0 && height > 0, name, ": the image is ", width, " x ", height,
               " pixels: both sides must be at least 1");
    VILA_CHECK(width <= kMaxImageSide && height <= kMaxImageSide, name, ": the image is ", width,
               " x ", height, " pixels: a side may have at most ", kMaxImageSide,
               "; shrink it first");
    VILA_CHECK(width * height <= kMaxImagePixels, name, ": the image is ", width, " x ", height,
               " pixels: at most ", kMaxImagePixels, " in all are read; shrink it first");
    const int64_t allowed = std::max(kFreeExpansionBytes, file_bytes * kMaxExpansion);
    VILA_CHECK(width * height * 3 <= allowed, name, ": ", file_bytes, " bytes claim to hold ",
               width, " x ", height, " pixels: more than ", kMaxExpansion,
               " times their size is not believed");
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

Decoded decode_stored(Bytes bytes, const std::string& name) {
    if (starts_with(bytes, "\xff\xd8\xff", 3)) return decode_jpeg(bytes, name);
    if (starts_with(bytes, "\x89PNG\r\n\x1a\n", 8)) return decode_png(bytes, name);
    if (starts_with(bytes, "GIF87a", 6) || starts_with(bytes, "GIF89a", 6))
        return decode_gif(bytes, name);
    if (starts_with(bytes, "RIFF", 4) && starts_with(bytes, "WEBP", 4, 8))
        return decode_webp(bytes, name);
    if (starts_with(bytes, "BM", 2)) return decode_bmp(bytes, name);
    throw Error(str(name, ": not an image that can be read (JPEG, PNG, GIF, BMP",
                    has_webp() ? ", WebP" : "", "): found ", describe_start(bytes)));
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes, const std::string& name) {
    VILA_CHECK(!bytes.empty(), name, ": the image file is empty");
    VILA_CHECK(static_cast<int64_t>(bytes.size()) <= kMaxImageFileBytes, name,
               ": the image file has ", bytes.size(), " bytes: at most ", kMaxImageFileBytes,
               " are read");
    Decoded decoded = decode_stored(bytes, name);
    return apply_orientation(std::move(decoded.image), decoded.orientation);
}

Image load_image(const std::filesystem::path& path) {
    const std::string bytes = read_file(path, kMaxImageFileBytes);
    return decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()},
                        path.string());
}

}  // namespace vila::data
