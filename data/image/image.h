#pragma once

// Decodes image files to RGB bytes in memory: JPEG, PNG, GIF (first frame), BMP and, in builds with
// libwebp, WebP.
//
// The pixels equal those of Pillow's Image.open(...).convert("RGB"), because vision towers were
// trained on them: alpha is dropped, gray is repeated, 16-bit gray saturates at 255. Unlike that
// call, decoding turns the image upright as Pillow's exif_transpose() does: by the orientation in
// its EXIF data or, if they have none, in its XMP data.
//
// Decoders do not trust their input: each returns a whole image or throws one line that names the
// file. A JPEG whose coded data are damaged is an error too, where a decoder could go on with gray
// or shifted blocks, as Pillow does. Bytes that belong to nothing, such as those that some cameras
// write before a marker, are not. resize.h resamples images, image_processor.h normalizes them,
// image_write.h writes them.

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace vila::data {

// An RGB image, (height, width, 3) row-major, 8 bits a channel.
struct Image {
    int64_t width = 0;
    int64_t height = 0;
    std::vector<uint8_t> rgb;

    Image() = default;
    // A black image.
    Image(int64_t image_width, int64_t image_height)
        : width(image_width), height(image_height), rgb(checked_bytes(image_width, image_height)) {}

    // The three bytes of the pixel in column x, row y.
    const uint8_t* at(int64_t x, int64_t y) const { return rgb.data() + (y * width + x) * 3; }
    uint8_t* at(int64_t x, int64_t y) { return rgb.data() + (y * width + x) * 3; }
    bool operator==(const Image&) const = default;

  private:
    static size_t checked_bytes(int64_t width, int64_t height);
};

// Limits of the decoders. decode_image throws before it allocates anything for a file above them.
constexpr int64_t kMaxImageFileBytes = int64_t{64} << 20;
constexpr int64_t kMaxImageSide = 16384;
constexpr int64_t kMaxImagePixels = int64_t{64} << 20;
// The memory that decoding one image may take, in bytes: its file, the buffers of the decoder and
// the pixels. Every decoder reckons it from the header.
constexpr int64_t kMaxDecodingBytes = 300'000'000;
// A valid JPEG of a few kilobytes can make a decoder pass over the image any number of times.
constexpr int64_t kMaxJpegScans = 500;
constexpr int64_t kMaxJpegScanPixels = int64_t{2} << 30;  // scans times pixels
// For an image of more than kFreeExpansionBytes RGB bytes: its pixels, with as many bits each as in
// the uncompressed data of the file, may take at most this many times the bytes of the file.
// Deflate and Huffman coding reach that factor only on blank images.
constexpr int64_t kMaxExpansion = 1100;
constexpr int64_t kFreeExpansionBytes = int64_t{64} << 20;

// Decodes the bytes of an image file; error messages use `name`. Throws Error if they are not an
// image, are cut short or damaged, or exceed a limit above.
Image decode_image(std::span<const uint8_t> bytes, const std::string& name);

// The size of an image in pixels, as stored: the orientation is not applied. For a GIF it is the
// size of the screen.
struct ImageSize {
    int64_t width = 0, height = 0;
};

// Reads the size of an image without decoding its pixels. `start` holds the first bytes of the
// file, which has `file_bytes` bytes in all. Throws Error if it is not an image, exceeds a limit
// above, or if `start` ends before the size.
ImageSize read_image_size(std::span<const uint8_t> start, int64_t file_bytes,
                          const std::string& name);

// Reads and decodes a file.
Image load_image(const std::filesystem::path& path);

// Returns the name of the library that decodes JPEG in this build: "libjpeg-turbo" agrees with
// Pillow to the bit, "stb_image" differs by a few levels where chroma is subsampled.
const char* jpeg_decoder_name();
// Returns whether this build reads WebP.
bool has_webp();

}  // namespace vila::data
