#pragma once

// The two normalizations, with their learned weights: RmsNorm (Llama) and LayerNorm (ViT).

#include "nn/parameter.h"

namespace vila::nn {

class RmsNorm {
  public:
    // Declares NAME.weight (width), initialized to ones.
    RmsNorm(ParameterTable& table, const std::string& name, int64_t width, double eps);
    // x (R, width) -> (R, width).
    autograd::Variable operator()(const autograd::Variable& x) const;

  private:
    Parameter* weight_;  // owned by the table
    double eps_;
};

class LayerNorm {
  public:
    // Declares NAME.weight (width), initialized to ones, and NAME.bias (width), initialized to
    // zeros.
    LayerNorm(ParameterTable& table, const std::string& name, int64_t width, double eps);
    // x (R, width) -> (R, width).
    autograd::Variable operator()(const autograd::Variable& x) const;

  private:
    Parameter* weight_;  // owned by the table
    Parameter* bias_;    // owned by the table
    double eps_;
};

}  // namespace vila::nn
