#pragma once

// From where an image's bytes are to the pixel values a vision tower takes.

#include "data/image/image.h"
#include "data/image/image_processor.h"
#include "data/loader/loader.h"
#include "data/sample.h"

namespace vila::tools {

// Reads and decodes one image. Safe to call from many threads. Throws when it cannot be used.
data::Image read_image(const data::ImageRef& image);

// Reads, decodes and preprocesses one image: (3, size, size); with crop_share below 1, a random
// part of it that `draw` decides (data/image/random_crop.h). Safe to call from many threads. Throws when
// the image cannot be used.
data::LoadedImage load_pixels(const data::ImageRef& image, const data::ImageProcessor& processor,
                              double crop_share = 1.0, uint64_t draw = 0);

// "photo.jpg", or "shard.tar at byte 1536": for messages.
std::string image_name(const data::ImageRef& image);

}  // namespace vila::tools
