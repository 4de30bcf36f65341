#pragma once

// Sample: one training sequence, as token ids with image placeholders and the loss mask beside
// them. What a dataset gives, the packer counts and the loader delivers.

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/token_ids.h"

namespace vila::data {

// Where an image's encoded bytes (JPEG, PNG, ...) are: a file, or a part of one (a tar member).
struct ImageRef {
    std::string path;
    int64_t offset = 0;  // bytes from the start of the file
    int64_t bytes = -1;  // -1: to the end of the file

    bool operator==(const ImageRef&) const = default;
};

// labels[i] is ids[i] where token i is a target and kIgnoreLabel elsewhere: not shifted, the model
// shifts. labels[0] is never a target: nothing comes before it.
struct Sample {
    std::vector<int32_t> ids;      // (T), one kImageToken for each image
    std::vector<int32_t> labels;   // (T)
    std::vector<ImageRef> images;  // in the order of their kImageToken
    std::string id;                // the record's own name, for messages; may be empty
    int32_t source = 0;            // which dataset of the mixture
    int64_t index = 0;             // which record of that dataset
};

// Throws unless labels are as many as ids, every label is its id or kIgnoreLabel, the first label
// is kIgnoreLabel, images are as many as placeholders, and the sample is not empty.
void check_sample(const Sample& sample);

// Sequence length once every placeholder has become `image_tokens` positions.
int64_t spliced_length(const Sample& sample, int64_t image_tokens);

// How many positions bear loss.
int64_t count_targets(const Sample& sample);

// Shortens a sample to at most `max_length` spliced positions. Tokens are cut from the end; an
// image that does not fit whole goes, and so do images that then stand at the end with nothing to
// predict behind them. Returns whether anything was cut.
bool truncate_sample(Sample& sample, int64_t max_length, int64_t image_tokens);

}  // namespace vila::data
