#pragma once

// `vila bench preprocess`: images from file bytes to pixel values on one core. The limit is the
// decoder alone plus one copy of the pixel values.

#include <cstdint>
#include <string>
#include <vector>

#include "data/image/image_processor.h"
#include "tensor/json.h"

namespace vila::tools {

// The bytes of an image file.
struct EncodedPicture {
    std::string name;
    std::vector<uint8_t> bytes;
};
// One synthetic JPEG of 640 x 480 pixels (4:2:0) with gradients, edges and noise, used when no file
// is given.
std::vector<EncodedPicture> default_pictures();

struct Pipeline {
    const char* name;
    data::ImageProcessorConfig config;
    data::ImageMode mode;
};
// CLIP-L/336 with crop and with pad, SigLIP-384 with resize.
std::vector<Pipeline> default_pipelines();

struct PreprocessMeasurement {
    std::string pipeline;
    int64_t pictures;
    // Processor seconds per image, medians over the repetitions.
    double seconds;         // decode and preprocess
    double decode_seconds;  // the decoder alone
    double copy_seconds;    // one memcpy of the pixel values
    double limit_share;     // (decode + copy) / all, median of the pairs
};

// Runs every picture through every pipeline on the calling thread, alternating with the limits.
std::vector<PreprocessMeasurement> bench_preprocess(const std::vector<EncodedPicture>& pictures,
                                                    const std::vector<Pipeline>& pipelines,
                                                    int repetitions);

std::string preprocess_table(const std::vector<PreprocessMeasurement>& measurements);
Json preprocess_json(const std::vector<PreprocessMeasurement>& measurements);

}  // namespace vila::tools
