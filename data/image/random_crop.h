#pragma once

// The one augmentation of images: CLIP was trained with it and no other (Radford et al. 2021, 2.4).

#include <cstdint>

#include "data/image/image.h"

namespace vila::data {

// A random part of an image. Both sides are cut to the same share, uniform in [least_share, 1], at
// a uniformly drawn place; `draw` alone decides. least_share in (0, 1]; 1 gives the image back.
Image random_crop(const Image& image, double least_share, uint64_t draw);

}  // namespace vila::data
