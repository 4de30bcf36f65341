#pragma once

// Batch: sequences laid end to end with their images spliced in, as tensors on the device. The
// sequences are independent: attention follows `cu_seqlens`, positions begin at 0 in each, and the
// last row of a sequence predicts nothing.

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"
#include "tensor/token_ids.h"

namespace vila::models {

// An image in host memory: preprocessed pixels (3, height, width) for the vision tower, or features
// (N, Cv) from an earlier call of VilaModel::image_features.
struct HostImage {
    Shape shape;
    std::span<const float> values;  // shape.numel(), row-major
};

struct Sequence {
    std::span<const int32_t> ids;     // one kImageToken for each image
    std::span<const int32_t> labels;  // labels[i] is ids[i] if token i is a target (labels are not
                                      // shifted), else kIgnoreLabel; empty: no targets
    std::vector<HostImage> images;    // in the order of their kImageToken
};

struct Batch {
    Tensor ids;         // (R) i32; 0 in the rows of images
    Tensor positions;   // (R) i32
    Tensor cu_seqlens;  // (B + 1) i32
    Tensor loss_rows;   // (M) i32: the rows whose next token is a target, ascending
    Tensor targets;     // (M) i32: the tokens that follow those rows
    Tensor image_rows;  // (I * N) i32: the rows of image tokens, image after image
    Tensor pixels;      // (I, 3, height, width) f32, or undefined
    Tensor features;    // (I * features_per_image, Cv) f32, or undefined

    int64_t longest = 0;  // rows of the longest sequence

    int64_t rows() const { return ids.size(0); }
    int64_t sequences() const { return cu_seqlens.size(0) - 1; }
    int64_t loss_tokens() const { return targets.size(0); }
    bool has_images() const { return image_rows.size(0) > 0; }
};

// Lays the sequences end to end and replaces each kImageToken with `tokens_per_image` rows. The
// images of a batch are all pixels or all features, of one shape. Throws when the number of
// images of a sequence differs from its placeholders, or the number of labels from its ids, when a
// sequence is empty, and when its first token is a target.
Batch make_batch(Device& device, const std::vector<Sequence>& sequences, int64_t tokens_per_image);

// Stacks the images of the sequences: pixels (I, 3, height, width) or features (I * N, Cv), f32.
// There must be at least one image.
Tensor stack_images(Device& device, const std::vector<Sequence>& sequences);

}  // namespace vila::models
