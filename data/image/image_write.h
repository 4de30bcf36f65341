#pragma once

// Pictures to PNG, 8-bit RGB: lossless, and small enough for reports and miniature worlds. Also to
// JPEG, for measurements.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/image/image.h"

namespace vila::data {

// The bytes of a PNG file. Throws when the picture has no pixels, or more than can be read again.
std::vector<uint8_t> encode_png(const Image& image);

// The bytes of a baseline JPEG file, quality 1 to 100; up to 90 with chroma at half the resolution.
std::vector<uint8_t> encode_jpeg(const Image& image, int quality);

// encode_png into a file, which appears whole or not at all.
void write_png(const std::filesystem::path& path, const Image& image);

// "data:image/png;base64,...", to stand as the source of a picture in an HTML page.
std::string png_data_uri(const Image& image);

}  // namespace vila::data
