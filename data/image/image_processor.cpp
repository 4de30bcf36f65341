#include "data/image/image_processor.h"

#include <algorithm>
#include <iterator>

#include "tensor/check.h"
#include "tensor/name_list.h"

namespace vila::data {

namespace {

// In the order of ImageMode.
constexpr const char* kImageModes[] = {"crop", "pad", "resize"};

// Returns the tower's input side. The steps together must yield it for an image of any shape.
int64_t output_size(const ImageProcessorConfig& config) {
    if (config.do_center_crop) return config.crop_size;
    VILA_CHECK(config.do_resize && config.shortest_edge == 0,
               "image processor without do_center_crop: size must be height and width, or images "
               "of different shapes would give different shapes");
    VILA_CHECK_EQ(config.resize_width, config.resize_height,
                  "image processor: the tower's input must be square; width");
    return config.resize_width;
}

// Rescales a byte in double precision and normalizes it in single precision, as numpy does.
float pixel_value(const ImageProcessorConfig& config, int byte, size_t channel) {
    float value = static_cast<float>(byte);
    if (config.do_rescale)
        value = static_cast<float>(static_cast<double>(byte) * config.rescale_factor);
    if (config.do_normalize)
        value = (value - static_cast<float>(config.mean[channel])) /
                static_cast<float>(config.deviation[channel]);
    return value;
}

}  // namespace

std::vector<std::string> image_mode_names() {
    return {std::begin(kImageModes), std::end(kImageModes)};
}

ImageMode image_mode_from_name(const std::string& name) {
    for (size_t mode = 0; mode < std::size(kImageModes); ++mode)
        if (name == kImageModes[mode]) return static_cast<ImageMode>(mode);
    throw Error(str("image_mode \"", name, "\": expected ", name_list(image_mode_names())));
}

ImageProcessor::ImageProcessor(const ImageProcessorConfig& config, ImageMode mode)
    : config_(config), mode_(mode), size_(output_size(config)) {
    VILA_CHECK(size_ >= 1 && size_ <= kMaxImageSide, "image processor: input side ", size_,
               ": expected 1 to ", kMaxImageSide);
    for (size_t channel = 0; channel < 3; ++channel) {
        fill_[channel] = static_cast<uint8_t>(std::clamp(config.mean[channel] * 255.0, 0.0, 255.0));
        for (int byte = 0; byte < 256; ++byte)
            value_[channel][byte] = pixel_value(config, byte, channel);
    }
}

// Cuts out the center square. A smaller image gets a black margin, the wider part of it above and
// to the left.
Image ImageProcessor::cut(const Image& resized) const {
    const auto start = [&](int64_t side) {
        const int64_t twice = side - size_;
        return twice >= 0 ? twice / 2 : -((1 - twice) / 2);
    };
    return crop(resized, {start(resized.width), start(resized.height), size_, size_});
}

// Applies the tower's own steps.
Image ImageProcessor::resize_and_crop(const Image& image) const {
    if (!config_.do_resize) return cut(image);
    int64_t width = config_.resize_width, height = config_.resize_height;
    if (config_.shortest_edge != 0) {
        const int64_t edge = config_.shortest_edge;
        const int64_t shorter = std::min(image.width, image.height);
        const int64_t longer = std::max(image.width, image.height);
        // transformers divides in double precision, then truncates.
        const int64_t long_edge =
            static_cast<int64_t>(static_cast<double>(edge * longer) / static_cast<double>(shorter));
        width = image.width <= image.height ? edge : long_edge;
        height = image.width <= image.height ? long_edge : edge;
    }
    if (!config_.do_center_crop) return resize(image, width, height, config_.filter);
    if (width < size_ || height < size_) return cut(resize(image, width, height, config_.filter));
    return resize_window(image, width, height, config_.filter,
                         {(width - size_) / 2, (height - size_) / 2, size_, size_});
}

Image ImageProcessor::to_input(const Image& image) const {
    VILA_CHECK(image.width > 0 && image.height > 0, "image processor: an image of ", image.width,
               " x ", image.height, " pixels: expected at least one");
    if (mode_ == ImageMode::Resize) return resize_and_crop(resize_bicubic(image, size_, size_));
    if (mode_ == ImageMode::Crop || image.width == image.height) return resize_and_crop(image);
    if (!config_.do_resize) return cut(pad_to_square(image, fill_));
    // From here on, the size leaves a square a square, whether it is written as an edge or as
    // sides.
    if (config_.shortest_edge == 0 && config_.resize_width != config_.resize_height)
        return resize_and_crop(pad_to_square(image, fill_));
    const int64_t side = config_.shortest_edge != 0 ? config_.shortest_edge : config_.resize_width;
    const Image square = resize_padded(image, side, config_.filter, fill_);
    return config_.do_center_crop ? cut(square) : square;
}

void ImageProcessor::to_pixels(const Image& image, std::span<float> pixels) const {
    const int64_t plane = size_ * size_;
    VILA_CHECK_EQ(static_cast<int64_t>(pixels.size()), 3 * plane,
                  "image processor: room for pixel values");
    const Image input = to_input(image);
    for (int64_t c = 0; c < 3; ++c) {
        const float* value = value_[c].data();
        float* out = pixels.data() + c * plane;
        for (int64_t i = 0; i < plane; ++i) out[i] = value[input.rgb[i * 3 + c]];
    }
}

Tensor ImageProcessor::to_pixels(const Image& image, Device& device) const {
    const Tensor pixels = Tensor::empty(device, {3, size_, size_}, DType::F32);
    const size_t count = static_cast<size_t>(pixels.numel());
    if (device.kind() == DeviceKind::Cpu) {
        to_pixels(image, std::span(pixels.data<float>(), count));
    } else {
        std::vector<float> host(count);
        to_pixels(image, host);
        pixels.copy_from_host(host.data());
    }
    return pixels;
}

}  // namespace vila::data
