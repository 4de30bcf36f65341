#pragma once

// BlockLinear: a matrix of a language model's block. The rows of image tokens may go through a
// second linear layer instead, a visual expert (Wang et al. 2023, CogVLM).

#include <optional>

#include "nn/fused_linear.h"

namespace vila::models {

class BlockLinear {
  public:
    // Declares the weights of the first layer in `table`, as nn::Linear does.
    BlockLinear(nn::ParameterTable& table, const std::string& name, int64_t inputs, int64_t outputs,
                const nn::LinearInit& init)
        : linear_(table, name, inputs, outputs, init) {}

    // x (R, inputs) -> (R, outputs). `image_rows` (M) i32 are the rows of x that belong to images,
    // each once; undefined if there are none. They matter only with a second layer.
    autograd::Variable operator()(const autograd::Variable& x, const Tensor& image_rows,
                                  const autograd::LinearEpilogue& then = {}) const;

    // Returns true if there is a second layer and at least one image row.
    bool splits(const Tensor& image_rows) const;

    // Gives the rows of images a layer of their own, of the same inputs and outputs.
    void set_image_linear(const nn::Linear& linear) { image_linear_ = linear; }
    const nn::Linear& linear() const { return linear_; }

  private:
    nn::Linear linear_;
    std::optional<nn::Linear> image_linear_;
};

// The results of several matrices that read the same x, as one product where
// nn::apply_together makes one.
std::vector<autograd::Variable> apply_together(std::span<const BlockLinear* const> matrices,
                                               const autograd::Variable& x,
                                               const Tensor& image_rows);
// Moves their weights into one block of memory, as nn::lay_together does.
void lay_together(std::span<const BlockLinear* const> matrices);

}  // namespace vila::models
