#include "models/row_keys.h"

#include <algorithm>

#include "tensor/check.h"
#include "tensor/random.h"

namespace vila::models {

namespace {

// Keys of images have the highest bit set; keys of ids do not.
RowKey image_row_key(uint64_t image, int64_t n) {
    return random_bits(image, static_cast<uint64_t>(n)) | RowKey{1} << 63;
}

}  // namespace

std::vector<RowKey> row_keys(const Sequence& prompt) {
    const auto placeholders = std::count(prompt.ids.begin(), prompt.ids.end(), kImageToken);
    VILA_CHECK_EQ(static_cast<int64_t>(prompt.images.size()), static_cast<int64_t>(placeholders),
                  "images of a sequence for its placeholders");
    std::vector<RowKey> keys;
    size_t images = 0;
    for (const int32_t id : prompt.ids) {
        if (id != kImageToken) {
            keys.push_back(static_cast<uint32_t>(id) + RowKey{1});
            continue;
        }
        const HostImage& image = prompt.images[images++];
        for (int64_t n = 0; n < image.tokens; ++n)
            keys.push_back(image.key == 0 ? 0 : image_row_key(image.key, n));
    }
    return keys;
}

}  // namespace vila::models
