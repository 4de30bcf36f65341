#pragma once

// Resamples images exactly as Pillow 13 does, to the byte: two passes, along x and along y, each a
// weighted sum over the filter's support in 22-bit fixed point, rounded to 8 bits between them.
// Shrinking widens the filter, so that no input is skipped. The pass along x comes first, unless
// the height shrinks by more than twice as many pixels as the width. Up to Pillow 12 it always came
// first, which changes some pixels of such images by a few levels.
//
// The functions run on the calling thread: programs that load many images load several at a time.

#include <array>
#include <cstdint>

#include "data/image/image.h"

namespace vila::data {

// The values are those of "resample" in preprocessor_config.json.
enum class Filter {
    Bilinear = 2,  // a triangle of radius 1
    Bicubic = 3,   // Keys' cubic with a = -0.5, of radius 2 (R. Keys 1981, "Cubic convolution
                   // interpolation for digital image processing")
};

using Color = std::array<uint8_t, 3>;

// A rectangle of pixels.
struct Window {
    int64_t left = 0, top = 0, width = 0, height = 0;
};

// Returns `image` (at least one pixel) stretched to width x height, both at least 1.
Image resize(const Image& image, int64_t width, int64_t height, Filter filter);
inline Image resize_bicubic(const Image& image, int64_t width, int64_t height) {
    return resize(image, width, height, Filter::Bicubic);
}

// Returns the part of resize(image, width, height, filter) inside `window`, which must lie within
// it. Only that part is computed: cutting a square out of a long strip costs no more than the
// square.
Image resize_window(const Image& image, int64_t width, int64_t height, Filter filter,
                    const Window& window);

// Returns resize(pad_to_square(image, fill), size, size, filter) without building the square.
Image resize_padded(const Image& image, int64_t size, Filter filter, const Color& fill);

// Returns `image` in the center of a square of its longer side. If the two margins differ, the left
// or upper one is the smaller.
Image pad_to_square(const Image& image, const Color& fill);

// Returns the pixels of `window`; those outside the image are black.
Image crop(const Image& image, const Window& window);

}  // namespace vila::data
