#pragma once

// `vila bench preprocess`: pictures from the bytes of their files to pixel values on one core,
// beside what only copies: the decoder alone, and reading the values back.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/image/image_processor.h"

namespace vila::tools {

// The bytes of an image file.
struct EncodedPicture {
    std::string name;
    std::vector<uint8_t> bytes;
};
// A JPEG file of 640 x 480 pixels (4:2:0) with gradients, edges and noise, for who has no files.
std::vector<EncodedPicture> default_pictures();

struct Pipeline {
    const char* name;
    data::ImageProcessorConfig config;
    data::ImageMode mode;
};
// CLIP-L/336 cut and padded, SigLIP-384 stretched.
std::vector<Pipeline> default_pipelines();

struct PreprocessMeasurement {
    std::string pipeline;
    int64_t pictures;
    // Processor seconds a picture, medians over the repetitions.
    double seconds;
    double decode_seconds;  // of the decoder alone: the limit while the file's format is given
    double copy_seconds;    // to write the pixel values once, at the rate of a copy
    double limit_share;     // median of (decode + copy) / all, pairwise
};

// Every picture through every pipeline, alternating with the limits, on the calling thread.
std::vector<PreprocessMeasurement> bench_preprocess(const std::vector<EncodedPicture>& pictures,
                                                    const std::vector<Pipeline>& pipelines,
                                                    int repetitions);

std::string preprocess_table(const std::vector<PreprocessMeasurement>& measurements);
nlohmann::json preprocess_json(const std::vector<PreprocessMeasurement>& measurements);

}  // namespace vila::tools
