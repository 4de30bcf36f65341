#pragma once

// Resampling pictures exactly as Pillow 13 does, to the byte: two passes, along x and along y, each
// a weighted sum over the filter's support in 22-bit fixed point, rounded to 8 bits between them.
// Shrinking widens the filter, so that nothing is skipped. The pass along x comes first, except
// where the height shrinks by more than twice what the width does; up to Pillow 12 it always did,
// which there differs by a few levels in some pixels.
//
// The functions run on the calling thread: programs that load many pictures load several at a time.

#include <array>
#include <cstdint>

#include "data/image/image.h"

namespace vila::data {

// The numbers are those of a preprocessor_config.json's "resample".
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

// `image` (at least one pixel) stretched to width x height, both at least 1.
Image resize(const Image& image, int64_t width, int64_t height, Filter filter);
inline Image resize_bicubic(const Image& image, int64_t width, int64_t height) {
    return resize(image, width, height, Filter::Bicubic);
}

// The pixels of `window`, which must lie inside, of resize(image, width, height, filter); only they
// are computed, so that a long strip cut to a square costs no more than the square.
Image resize_window(const Image& image, int64_t width, int64_t height, Filter filter,
                    const Window& window);

// resize(pad_to_square(image, fill), size, size, filter) without making the square.
Image resize_padded(const Image& image, int64_t size, Filter filter, const Color& fill);

// `image` in the middle of a square of its longer side; the left or upper margin is the smaller one
// where they differ.
Image pad_to_square(const Image& image, const Color& fill);

// The pixels of `window`; black where it leaves the picture.
Image crop(const Image& image, const Window& window);

}  // namespace vila::data
