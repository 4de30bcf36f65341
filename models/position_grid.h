#pragma once

// Resizes the position embeddings of a vision tower for another image size.

#include "tensor/tensor.h"

namespace vila::models {

// Resamples position embeddings (leading + n * n, C) to (leading + side * side, C). The first
// `leading` rows (the class token) stay as they are; the others form a square grid in row-major
// order. The interpolation is that of transformers: bicubic with a = -0.75, half-pixel centers and
// border values repeated outside the grid. Keeps the dtype. Throws when the grid is not square.
Tensor resize_position_grid(const Tensor& table, int64_t leading, int64_t side);

}  // namespace vila::models
