#include "tools/base/image_source.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "data/image/random_crop.h"
#include "tensor/file.h"

namespace vila::tools {

std::string image_name(const data::ImageRef& image) {
    return image.offset == 0 && image.bytes < 0 ? image.path
                                                : str(image.path, " at byte ", image.offset);
}

std::vector<uint8_t> read_encoded_image(const data::ImageRef& image) {
    const RandomAccessFile file(image.path);
    const int64_t bytes = image.bytes < 0 ? file.size() - image.offset : image.bytes;
    VILA_CHECK(bytes <= data::kMaxImageFileBytes, image_name(image), ": ", bytes,
               " bytes: expected at most ", data::kMaxImageFileBytes);
    std::vector<uint8_t> encoded(static_cast<size_t>(std::max<int64_t>(bytes, 0)));
    file.read_at(image.offset, encoded.data(), bytes);
    return encoded;
}

data::Image read_image(const data::ImageRef& image) {
    return data::decode_image(read_encoded_image(image), image_name(image));
}

data::ImageSize read_image_size(const data::ImageRef& image) {
    constexpr int64_t kStartBytes = 64 << 10;
    const RandomAccessFile file(image.path);
    const int64_t bytes = image.bytes < 0 ? file.size() - image.offset : image.bytes;
    const auto size_from = [&](int64_t count) {
        std::vector<uint8_t> start(static_cast<size_t>(std::max<int64_t>(count, 0)));
        file.read_at(image.offset, start.data(), count);
        return data::read_image_size(start, bytes, image_name(image));
    };
    if (bytes <= kStartBytes) return size_from(bytes);
    try {
        return size_from(kStartBytes);
    } catch (const Error&) {
        // A JPEG may begin with a color profile and a thumbnail.
        return size_from(std::min(bytes, data::kMaxImageFileBytes));
    }
}

namespace {

// Returns whether the decoded image may be larger than its stored size: the screen of a GIF grows
// to hold the image.
bool may_grow(const data::ImageRef& image) {
    std::array<char, 4> start = {};
    RandomAccessFile(image.path).read_at(image.offset, start.data(), start.size());
    return std::string_view(start.data(), start.size()) == "GIF8";
}

}  // namespace

data::ImageTokens image_token_counter(const models::ImageLayout& layout) {
    return [layout](const data::ImageRef& image) {
        if (!layout.depends_on_size()) return layout.image_tokens(0, 0);
        const auto [width, height] = read_image_size(image);
        const int64_t tokens = layout.image_tokens(height, width);
        // Turning the image upright may exchange its sides.
        if (tokens == layout.image_tokens(width, height) && !may_grow(image)) return tokens;
        const data::Image decoded = read_image(image);
        return layout.image_tokens(decoded.height, decoded.width);
    };
}

data::LoadedImage to_pixels(const data::Image& image, const data::ImageProcessor& processor,
                            const models::ImageLayout& layout, const models::TileGrid& grid) {
    const int64_t side = processor.size();
    data::LoadedImage loaded;
    loaded.shape = Shape{3, side, side};
    loaded.tokens = layout.tokens_of_tiles(grid.tiles());
    const int64_t values = loaded.shape.numel();  // of a tile
    loaded.values.resize(static_cast<size_t>(values * grid.tiles()));
    const std::span<float> pixels(loaded.values);
    const auto tile = [&](int64_t i) {
        return pixels.subspan(static_cast<size_t>(values * i), static_cast<size_t>(values));
    };
    processor.to_pixels(image, tile(grid.tiles() - 1));
    if (grid.tiles() == 1) return loaded;
    loaded.shape = Shape{grid.tiles(), 3, side, side};
    const data::Image whole =
        data::resize(image, grid.columns * side, grid.rows * side, processor.config().filter);
    for (int64_t i = 0; i + 1 < grid.tiles(); ++i)
        processor.to_pixels(data::crop(whole, {.left = i % grid.columns * side,
                                               .top = i / grid.columns * side,
                                               .width = side,
                                               .height = side}),
                            tile(i));
    return loaded;
}

data::LoadedImage encode_image(const models::VilaModel& model, const data::LoadedImage& pixels) {
    const autograd::NoGrad no_grad(model.device());
    const std::vector<models::Sequence> one = {
        {{}, {}, {{pixels.shape, pixels.values, pixels.tokens}}}};
    const Tensor features =
        model.image_features(models::stack_images(model.device(), one)).value();  // (N, Cv)
    return {features.shape(), features.to_vector<float>(), pixels.tokens};
}

data::LoadedImage load_pixels(const data::ImageRef& image, const data::ImageProcessor& processor,
                              const models::ImageLayout& layout, double crop_share, uint64_t draw) {
    const data::Image whole = read_image(image);
    const models::TileGrid grid = layout.grid(whole.height, whole.width);
    return to_pixels(crop_share < 1.0 ? data::random_crop(whole, crop_share, draw) : whole,
                     processor, layout, grid);
}

}  // namespace vila::tools
