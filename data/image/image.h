#pragma once

// Pictures: from the bytes of a file to RGB bytes in memory.
//
// JPEG, PNG, GIF (first frame), BMP and, where libwebp was built in, WebP. The pixels are those
// that Pillow's Image.open(...).convert("RGB") gives, because that is what vision towers were
// trained on: alpha is dropped, grey is repeated, 16-bit grey saturates at 255. Unlike that call,
// the orientation that a camera noted in EXIF is applied.
//
// Every decoder works on bytes it does not trust: it either returns a whole picture or throws one
// line naming the file. Resizing is in data/image/resize.h, normalising in data/image/image_processor.h,
// writing in data/image/image_write.h.

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace vila::data {

// An RGB picture, (height, width, 3) row-major, 8 bits a channel.
struct Image {
    int64_t width = 0;
    int64_t height = 0;
    std::vector<uint8_t> rgb;

    Image() = default;
    // A black picture.
    Image(int64_t image_width, int64_t image_height)
        : width(image_width), height(image_height), rgb(checked_bytes(image_width, image_height)) {}

    // The three bytes of a pixel.
    const uint8_t* at(int64_t x, int64_t y) const { return rgb.data() + (y * width + x) * 3; }
    uint8_t* at(int64_t x, int64_t y) { return rgb.data() + (y * width + x) * 3; }
    bool operator==(const Image&) const = default;

  private:
    static size_t checked_bytes(int64_t width, int64_t height);
};

// What a decoder accepts; beyond it, decode_image throws before it allocates.
constexpr int64_t kMaxImageFileBytes = int64_t{64} << 20;
constexpr int64_t kMaxImageSide = 16384;
constexpr int64_t kMaxImagePixels = int64_t{64} << 20;
// A legal JPEG of a few kilobytes can ask for any number of passes over the picture.
constexpr int64_t kMaxJpegScans = 500;
constexpr int64_t kMaxJpegScanPixels = int64_t{2} << 30;  // scans times pixels
// Pictures whose RGB bytes exceed the free allowance may be at most this much larger than their
// file: deflate and Huffman coding do not reach it on anything but blank pictures.
constexpr int64_t kMaxExpansion = 1100;
constexpr int64_t kFreeExpansionBytes = int64_t{64} << 20;

// Decodes the bytes of an image file; `name` stands in error messages. Throws Error when they are
// not an image, are cut short or damaged, or exceed a limit above.
Image decode_image(std::span<const uint8_t> bytes, const std::string& name);

// decode_image of a file's contents.
Image load_image(const std::filesystem::path& path);

// Which library decodes JPEG in this build: "libjpeg-turbo" agrees with Pillow to the bit,
// "stb_image" differs by a few levels where chroma is subsampled.
const char* jpeg_decoder_name();
// Whether this build reads WebP.
bool has_webp();

}  // namespace vila::data
