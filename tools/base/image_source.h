#pragma once

// Reads images: from the bytes of a file to the pixel values that a vision tower takes.

#include "data/image/image.h"
#include "data/image/image_processor.h"
#include "data/loader/loader.h"
#include "data/sample.h"
#include "models/image_layout.h"
#include "models/vila.h"

namespace vila::tools {

// Reads the encoded bytes of one image. Throws if the file cannot be read or the image is larger
// than kMaxImageFileBytes.
std::vector<uint8_t> read_encoded_image(const data::ImageRef& image);

// Reads and decodes one image. Safe to call from many threads. Throws if it cannot be read.
data::Image read_image(const data::ImageRef& image);

// Reads the size of one image in pixels. Reads only the beginning of the file if that suffices.
// Throws if the file cannot be read or is not an image.
data::ImageSize read_image_size(const data::ImageRef& image);

// Returns the function that counts the tokens of an image. If the layout depends on the size of
// images, the function reads the size. It decodes the image only if that is not enough: if the
// number depends on the orientation, and for a GIF. It is safe to call from many threads.
data::ImageTokens image_token_counter(const models::ImageLayout& layout);

// Preprocesses the tiles of an image and returns (3, size, size), or with several tiles (tiles, 3,
// size, size). The image is stretched to the grid and cut into tiles; the last tile is a thumbnail
// of the whole image.
data::LoadedImage to_pixels(const data::Image& image, const data::ImageProcessor& processor,
                            const models::ImageLayout& layout, const models::TileGrid& grid);

// Reads, decodes and preprocesses one image. With crop_share below 1, takes a random crop chosen by
// `draw` (data/image/random_crop.h), in the grid of the whole image. Safe to call from many
// threads. Throws if the image cannot be read.
data::LoadedImage load_pixels(const data::ImageRef& image, const data::ImageProcessor& processor,
                              const models::ImageLayout& layout, double crop_share = 1.0,
                              uint64_t draw = 0);

// Runs the vision tower on the pixels of one image, without recording gradients. Returns features
// (N, Cv).
data::LoadedImage encode_image(const models::VilaModel& model, const data::LoadedImage& pixels);

// The image's name for messages: "photo.jpg", or "shard.tar at byte 1536".
std::string image_name(const data::ImageRef& image);

}  // namespace vila::tools
