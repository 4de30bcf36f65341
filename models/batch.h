#pragma once

// Batch: sequences laid end to end with their images spliced in, as tensors on the device. Rows of
// different sequences never see each other: attention follows `cu_seqlens`, positions begin at 0 for
// each, and the last row of a sequence predicts nothing.

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"
#include "tensor/token_ids.h"

namespace vila::models {

// An image in host memory: pixel values (3, height, width) as the tower takes them, or features
// (N, Cv) that VilaModel::image_features gave before.
struct HostImage {
    Shape shape;
    std::span<const float> values;  // shape.numel(), row-major
};

struct Sequence {
    std::span<const int32_t> ids;     // one kImageToken for each image
    std::span<const int32_t> labels;  // ids[i] where token i is a target, else kIgnoreLabel; not
                                      // shifted; empty for no targets at all
    std::vector<HostImage> images;    // in the order of their kImageToken
};

struct Batch {
    Tensor ids;         // (R) i32; 0 in the rows of images
    Tensor positions;   // (R) i32
    Tensor cu_seqlens;  // (B + 1) i32
    Tensor loss_rows;   // (M) i32: the rows whose next token is a target, ascending
    Tensor targets;     // (M) i32: those tokens
    Tensor image_rows;  // (I * N) i32: the rows of image tokens, image after image
    Tensor pixels;      // (I, 3, height, width) f32, or undefined
    Tensor features;    // (I * N before the projector, Cv) f32, or undefined

    int64_t longest = 0;  // rows of the longest sequence

    int64_t rows() const { return ids.size(0); }
    int64_t sequences() const { return cu_seqlens.size(0) - 1; }
    int64_t loss_tokens() const { return targets.size(0); }
    bool has_images() const { return image_rows.size(0) > 0; }
};

// Lays the sequences end to end; every kImageToken becomes `tokens_per_image` rows. Images of one
// batch are all pixels or all features, of one shape. Throws when a sequence's images are not as
// many as its placeholders, or its labels not as many as its ids.
Batch make_batch(Device& device, const std::vector<Sequence>& sequences, int64_t tokens_per_image);

// Their images alone: (I, 3, height, width), or features (I * N, Cv). At least one.
Tensor stack_images(Device& device, const std::vector<Sequence>& sequences);

}  // namespace vila::models
