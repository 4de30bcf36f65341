#include "data/image/random_crop.h"

#include <algorithm>
#include <cmath>

#include "data/image/resize.h"
#include "tensor/check.h"
#include "tensor/random.h"

namespace vila::data {

Image random_crop(const Image& image, double least_share, uint64_t draw) {
    VILA_ASSERT(least_share > 0.0 && least_share <= 1.0);
    const double share = least_share + (1.0 - least_share) * random_uniform(draw, 0);
    const auto cut = [&](int64_t side) {
        const auto kept = static_cast<int64_t>(std::lround(share * static_cast<double>(side)));
        return std::clamp<int64_t>(kept, 1, side);
    };
    const int64_t width = cut(image.width), height = cut(image.height);
    const int64_t left = random_below(draw, 1, image.width - width + 1);
    const int64_t top = random_below(draw, 2, image.height - height + 1);
    return crop(image, {left, top, width, height});
}

}  // namespace vila::data
