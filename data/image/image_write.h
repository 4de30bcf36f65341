#pragma once

// Writes images as PNG, 8-bit RGB: lossless, and small enough for reports and the miniature world.
// Also encodes JPEG, for measurements.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/image/image.h"

namespace vila::data {

// Returns the bytes of a PNG file. Throws if the image has no pixels, or more than decode_image
// accepts.
std::vector<uint8_t> encode_png(const Image& image);

// Returns the bytes of a baseline JPEG file, quality 1 to 100; up to quality 90, chroma has half
// the resolution.
std::vector<uint8_t> encode_jpeg(const Image& image, int quality);

// Writes a PNG file, which appears whole or not at all.
void write_png(const std::filesystem::path& path, const Image& image);

// Returns "data:image/png;base64,...", the source of an image in an HTML page.
std::string png_data_uri(const Image& image);

}  // namespace vila::data
