#pragma once

// Position embeddings of a vision tower for another image size.

#include "tensor/tensor.h"

namespace vila::models {

// A table of position embeddings (rows, C), row-major over a square grid behind `leading` rows (the
// class token's) which stay as they are, resampled to `side` x `side`: bicubic with a = -0.75 and
// half-pixel centres, borders repeated, as transformers interpolates them. Keeps the dtype.
Tensor resize_position_grid(const Tensor& table, int64_t leading, int64_t side);

}  // namespace vila::models
