#pragma once

// A linear layer: y = x W^T + b.

#include "autograd/ops.h"
#include "nn/parameter.h"

namespace vila::nn {

struct LinearInit {
    Init weight = {};
    bool has_bias = false;
    Init bias = {};               // default: zeros
    std::string bias_share = {};  // layers with the same non-empty share start from the same bias
};

class Linear {
  public:
    // Declares NAME.weight (outputs, inputs) and, if `init` has a bias, NAME.bias (outputs).
    Linear(ParameterTable& table, const std::string& name, int64_t inputs, int64_t outputs,
           const LinearInit& init);

    // x (R, inputs) -> (R, outputs). `then`: adds a residual, and applies GELU to the sum.
    autograd::Variable operator()(const autograd::Variable& x,
                                  const autograd::LinearEpilogue& then = {}) const;
    const Parameter& weight() const { return *weight_; }

  private:
    Parameter* weight_;
    Parameter* bias_ = nullptr;  // owned by the table; null if there is none
};

}  // namespace vila::nn
