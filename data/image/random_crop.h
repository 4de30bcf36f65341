#pragma once

// Random cropping, the only augmentation of images: CLIP was trained with no other (Radford et al.
// 2021, section 2.4).

#include <cstdint>

#include "data/image/image.h"

namespace vila::data {

// Returns a random part of an image. Both sides are cut to the same share, uniform in
// [least_share, 1], at a uniformly drawn place. The result depends only on the image, least_share
// and `draw`. least_share is in (0, 1]; 1 returns the whole image.
Image random_crop(const Image& image, double least_share, uint64_t draw);

}  // namespace vila::data
