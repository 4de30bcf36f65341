#pragma once

// ImageProcessor turns an image of any size into the pixel values (3, H, W) of a vision tower, as
// its preprocessor_config.json says. The values equal those of transformers' PIL-backed
// CLIPImageProcessor and SiglipImageProcessor bit for bit.
//
// CLIP (Radford et al. 2021) resizes the shorter side to `size` and cuts out the center. SigLIP
// (Zhai et al. 2023) stretches the image to a square. VILA's image mode may change the aspect ratio
// before either.

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/image/image.h"
#include "data/image/resize.h"
#include "tensor/tensor.h"

namespace vila::data {

// The treatment of an image that is not square, before the tower's own steps.
enum class ImageMode {
    Crop,    // not at all: the tower's own steps make it square (CLIP cuts, SigLIP stretches)
    Pad,     // placed in the center of a square of the tower's mean color
    Resize,  // stretched to the tower's square, bicubic
};

// Returns the names of the modes in the order of the enumeration, as recipes and options spell
// them.
std::vector<std::string> image_mode_names();
// Returns the mode of a name. Throws on an unknown name.
ImageMode image_mode_from_name(const std::string& name);

// The fields of preprocessor_config.json that change a pixel. The defaults are CLIP's.
struct ImageProcessorConfig {
    // The processor's class in transformers, without "Fast": CLIPImageProcessor or
    // SiglipImageProcessor.
    std::string type = "CLIPImageProcessor";
    bool do_resize = true;
    int64_t shortest_edge = 224;  // 0: stretch to resize_width x resize_height instead
    int64_t resize_width = 0, resize_height = 0;
    Filter filter = Filter::Bicubic;
    bool do_center_crop = true;
    int64_t crop_size = 224;  // side of the square that is cut out, in pixels
    bool do_rescale = true;
    double rescale_factor = 1.0 / 255.0;
    bool do_normalize = true;
    std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};  // red, green, blue
    std::array<double, 3> deviation{0.26862954, 0.26130258, 0.27577711};

    // Returns the configuration of a new tower with the given input side and color statistics;
    // `siglip` chooses stretching instead of cutting.
    static ImageProcessorConfig for_tower(int64_t size, const std::array<double, 3>& mean,
                                          const std::array<double, 3>& deviation, bool siglip);
};

// Reads the image processor of a model's directory: the field image_processor of
// processor_config.json, where transformers 5 writes it, or else preprocessor_config.json. Throws,
// naming file and field, if there is neither, or if a field is missing, has the wrong type, or asks
// for something that is not implemented.
ImageProcessorConfig read_image_processor_config(const std::filesystem::path& directory);
// Returns whether a directory holds one of the two.
bool has_image_processor_config(const std::filesystem::path& directory);
// Parses the text of a preprocessor_config.json; error messages use `name`.
ImageProcessorConfig parse_image_processor_config(const std::string& json, const std::string& name);
// Returns the text of a preprocessor_config.json that transformers' AutoImageProcessor opens.
std::string image_processor_config_text(const ImageProcessorConfig& config);

// Immutable after construction: threads may share one.
class ImageProcessor {
  public:
    // Throws if the configuration does not yield squares of one size.
    ImageProcessor(const ImageProcessorConfig& config, ImageMode mode);

    // H = W of the tower's input, in pixels.
    int64_t size() const { return size_; }
    ImageMode mode() const { return mode_; }
    const ImageProcessorConfig& config() const { return config_; }
    // The color of the margins in mode Pad: trunc(mean * 255).
    const Color& fill() const { return fill_; }

    // Returns the image that the tower sees, size() x size(), still as bytes.
    Image to_input(const Image& image) const;
    // Returns to_input(), rescaled and normalized: (3, H, W) f32.
    Tensor to_pixels(const Image& image, Device& device) const;
    // Writes the pixel values to host memory of 3 * H * W values, such as a place in a batch.
    void to_pixels(const Image& image, std::span<float> pixels) const;

  private:
    Image resize_and_crop(const Image& image) const;
    Image cut(const Image& resized) const;

    ImageProcessorConfig config_;
    ImageMode mode_;
    int64_t size_ = 0;
    Color fill_{};
    std::array<std::array<float, 256>, 3> value_{};  // pixel value of each byte, by channel
};

}  // namespace vila::data
