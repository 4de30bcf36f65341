#pragma once

// ImageProcessor: from a picture of any size to the pixel values (3, H, W) a vision tower takes, as
// its preprocessor_config.json says, bit for bit as transformers' PIL-backed CLIPImageProcessor and
// SiglipImageProcessor compute them.
//
// Radford et al. 2021 (CLIP): the shorter side to `size`, the middle cut out. Zhai et al. 2023
// (SigLIP): stretched to the square. Before either, VILA's image mode may change the aspect.

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

// What happens to a picture that is not square before the tower's own steps.
enum class ImageMode {
    Crop,    // nothing: the tower's own steps decide (CLIP cuts, SigLIP stretches)
    Pad,     // it is put in the middle of a square of the tower's mean colour
    Resize,  // it is stretched to the tower's square, bicubic
};

// The names of the modes in the order of the enumeration, as recipes and options spell them.
std::vector<std::string> image_mode_names();
// Throws on any other name.
ImageMode image_mode_from_name(const std::string& name);

// The fields of preprocessor_config.json that change a pixel. The defaults are CLIP's.
struct ImageProcessorConfig {
    // The processor's class in transformers, without "Fast": CLIPImageProcessor,
    // SiglipImageProcessor.
    std::string type = "CLIPImageProcessor";
    bool do_resize = true;
    int64_t shortest_edge = 224;  // 0: stretch to resize_width x resize_height instead
    int64_t resize_width = 0, resize_height = 0;
    Filter filter = Filter::Bicubic;
    bool do_center_crop = true;
    int64_t crop_size = 224;  // side of the square that is cut out
    bool do_rescale = true;
    double rescale_factor = 1.0 / 255.0;
    bool do_normalize = true;
    std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};  // red, green, blue
    std::array<double, 3> deviation{0.26862954, 0.26130258, 0.27577711};

    // The configuration of a new tower of the given input side and colour statistics; `siglip`
    // chooses stretching instead of cutting.
    static ImageProcessorConfig for_tower(int64_t size, const std::array<double, 3>& mean,
                                          const std::array<double, 3>& deviation, bool siglip);
};

// Reads a preprocessor_config.json. Throws on fields that are missing, of the wrong type, or that
// ask for what is not implemented, naming file and field.
ImageProcessorConfig read_image_processor_config(const std::filesystem::path& path);
// The same from the text of such a file; `name` stands in error messages.
ImageProcessorConfig parse_image_processor_config(const std::string& json, const std::string& name);
// Writes one that transformers' AutoImageProcessor opens.
void write_image_processor_config(const std::filesystem::path& path,
                                  const ImageProcessorConfig& config);

// Immutable once made: threads may share it.
class ImageProcessor {
  public:
    // Throws when the configuration does not lead to a square of one size.
    ImageProcessor(const ImageProcessorConfig& config, ImageMode mode);

    // H = W of what the tower takes, in pixels.
    int64_t size() const { return size_; }
    ImageMode mode() const { return mode_; }
    const ImageProcessorConfig& config() const { return config_; }
    // What fills the margins in mode Pad: trunc(mean * 255).
    const Color& fill() const { return fill_; }

    // The picture the tower sees, size() x size(), before its bytes become numbers.
    Image to_input(const Image& image) const;
    // (3, H, W) f32: to_input, rescaled and normalised.
    Tensor to_pixels(const Image& image, Device& device) const;
    // The same into host memory of 3 * H * W values, a place in a batch.
    void to_pixels(const Image& image, std::span<float> pixels) const;

  private:
    Image resize_and_crop(const Image& image) const;
    Image cut(const Image& resized) const;

    ImageProcessorConfig config_;
    ImageMode mode_;
    int64_t size_ = 0;
    Color fill_{};
    std::array<std::array<float, 256>, 3> value_{};  // of a byte, by channel
};

}  // namespace vila::data
