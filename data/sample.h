#pragma once

// Sample: one training sequence, as token ids with image placeholders, and labels. Datasets return
// samples, the packer combines them into micro-batches, and the loader delivers those.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/token_ids.h"

namespace vila::data {

// Where an image's encoded bytes (JPEG, PNG, ...) are: in a file of their own, or in a part of a
// file (a tar member).
struct ImageRef {
    std::string path;
    int64_t offset = 0;  // bytes from the start of the file
    int64_t bytes = -1;  // -1: to the end of the file

    bool operator==(const ImageRef&) const = default;
};

// Returns the number of positions that an image takes in a sequence, at least 1. Throws if the
// image cannot be used.
using ImageTokens = std::function<int64_t(const ImageRef&)>;

// labels[i] is ids[i] if token i is a target, else kIgnoreLabel. Labels are not shifted; the model
// shifts them. labels[0] is never a target, because no token comes before it.
struct Sample {
    std::vector<int32_t> ids;           // (T), one kImageToken for each image
    std::vector<int32_t> labels;        // (T)
    std::vector<ImageRef> images;       // in the order of the image tokens
    std::vector<int64_t> image_tokens;  // positions of each image; empty in a sample of a dataset,
                                        // until count_image_tokens() fills it in
    std::string id;                     // the id of the record, for messages; may be empty
    int32_t source = 0;                 // index of the dataset in the mixture
    int64_t index = 0;                  // index of the record in that dataset
};

// Throws if the sample is empty, if the numbers of labels and ids differ, if a label is neither the
// id at its position nor kIgnoreLabel, if the first label is a target, or if the numbers of images
// and placeholders differ.
void check_sample(const Sample& sample);

// Fills in sample.image_tokens. Throws as `image_tokens` does, and if it returns less than 1.
void count_image_tokens(Sample& sample, const ImageTokens& image_tokens);

// Returns the number of positions of all images. The images must be counted, here and below.
int64_t image_positions(const Sample& sample);

// Returns the length of the sequence, with the positions of each image in place of its placeholder.
int64_t spliced_length(const Sample& sample);

// Returns the number of targets.
int64_t count_targets(const Sample& sample);

// Shortens a sample to at most `max_length` spliced positions by cutting tokens from the end. Drops
// an image that does not fit whole, and images that are then last, because no target follows them.
// Returns whether anything was cut.
bool truncate_sample(Sample& sample, int64_t max_length);

}  // namespace vila::data
