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

// An image in host memory: preprocessed pixels for the vision tower, (3, height, width), or (tiles,
// 3, height, width) for an image that is cut into tiles; or features (N, Cv) from an earlier call
// of VilaModel::image_features. N may differ from image to image.
struct HostImage {
    Shape shape;
    std::span<const float> values;  // shape.numel(), row-major
    int64_t tokens;                 // rows that the image takes in its sequence (image_layout.h)
    uint64_t key = 0;               // images with equal keys are equal; 0: not known
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
    Tensor image_rows;  // (tokens of all images) i32: the rows of image tokens, image after image
    Tensor pixels;      // (tiles of all images, 3, height, width) f32, or undefined
    Tensor features;    // (features of all images, Cv) f32, or undefined

    // (I + 1) for I images, in host memory: the rows of image i are image_rows[image_offsets[i]] to
    // image_rows[image_offsets[i + 1] - 1].
    std::vector<int64_t> image_offsets{0};
    int64_t longest = 0;  // rows of the longest sequence

    int64_t rows() const { return ids.size(0); }
    int64_t sequences() const { return cu_seqlens.size(0) - 1; }
    int64_t loss_tokens() const { return targets.size(0); }
    int64_t images() const { return static_cast<int64_t>(image_offsets.size()) - 1; }
    bool has_images() const { return images() > 0; }
};

// Lays the sequences end to end and replaces each kImageToken with the rows of its image. The
// images of a batch are all pixels, of one height and width, or all features, of one width Cv.
// Throws when the number of images of a sequence differs from its placeholders, or the number of
// labels from its ids, when a sequence is empty, when its first token is a target, and when an
// image has no tokens.
Batch make_batch(Device& device, const std::vector<Sequence>& sequences);

// Lays the images of the sequences end to end along the first axis: pixels (tiles of all images, 3,
// height, width) or features (features of all images, Cv), f32. There must be at least one image.
Tensor stack_images(Device& device, const std::vector<Sequence>& sequences);

}  // namespace vila::models
