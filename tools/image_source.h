#pragma once

// From where an image's bytes are to the pixel values a vision tower takes.

#include "data/image.h"
#include "data/image_processor.h"
#include "data/loader.h"
#include "data/sample.h"

namespace vila::tools {

// Reads and decodes one image. Safe to call from many threads. Throws when it cannot be used.
data::Image read_image(const data::ImageRef& image);

// Reads, decodes and preprocesses one image: (3, size, size). Safe to call from many threads.
// Throws when it cannot be used.
data::LoadedImage load_pixels(const data::ImageRef& image, const data::ImageProcessor& processor);

// "photo.jpg", or "shard.tar at byte 1536": for messages.
std::string image_name(const data::ImageRef& image);

}  // namespace vila::tools
