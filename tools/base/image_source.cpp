#include "tools/base/image_source.h"

#include <algorithm>

#include "data/image/random_crop.h"
#include "tensor/file.h"

namespace vila::tools {

std::string image_name(const data::ImageRef& image) {
    return image.offset == 0 && image.bytes < 0 ? image.path
                                                : str(image.path, " at byte ", image.offset);
}

data::Image read_image(const data::ImageRef& image) {
    const RandomAccessFile file(image.path);
    const int64_t bytes = image.bytes < 0 ? file.size() - image.offset : image.bytes;
    VILA_CHECK(bytes <= data::kMaxImageFileBytes, image_name(image), ": ", bytes,
               " bytes: expected at most ", data::kMaxImageFileBytes);
    std::vector<uint8_t> encoded(static_cast<size_t>(std::max<int64_t>(bytes, 0)));
    file.read_at(image.offset, encoded.data(), bytes);
    return data::decode_image(encoded, image_name(image));
}

data::LoadedImage load_pixels(const data::ImageRef& image, const data::ImageProcessor& processor,
                              double crop_share, uint64_t draw) {
    data::LoadedImage loaded;
    loaded.shape = {3, processor.size(), processor.size()};
    loaded.values.resize(static_cast<size_t>(loaded.shape.numel()));
    const data::Image whole = read_image(image);
    processor.to_pixels(crop_share < 1.0 ? data::random_crop(whole, crop_share, draw) : whole,
                        loaded.values);
    return loaded;
}

}  // namespace vila::tools
