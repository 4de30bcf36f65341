#pragma once

// Reads images: from the bytes of a file to the pixel values that a vision tower takes.

#include "data/image/image.h"
#include "data/image/image_processor.h"
#include "data/loader/loader.h"
#include "data/sample.h"

namespace vila::tools {

// Reads and decodes one image. Safe to call from many threads. Throws if it cannot be read.
data::Image read_image(const data::ImageRef& image);

// Reads, decodes and preprocesses one image; returns (3, size, size). With crop_share below 1,
// takes a random crop chosen by `draw` (data/image/random_crop.h). Safe to call from many threads.
// Throws if the image cannot be read.
data::LoadedImage load_pixels(const data::ImageRef& image, const data::ImageProcessor& processor,
                              double crop_share = 1.0, uint64_t draw = 0);

// The image's name for messages: "photo.jpg", or "shard.tar at byte 1536".
std::string image_name(const data::ImageRef& image);

}  // namespace vila::tools
