#pragma once

// A linear layer: y = x W^T + b.

#include "autograd/ops.h"
#include "nn/parameter.h"

namespace vila::nn {

struct LinearInit {
    Init weight = {};
    bool has_bias = false;
    Init bias = {};               // default: zeros
    std::string bias_share = {};  // Parameter::share of the bias
};

class Linear {
  public:
    // Declares NAME.weight (outputs, inputs) and, if `init` has a bias, NAME.bias (outputs).
    Linear(ParameterTable& table, const std::string& name, int64_t inputs, int64_t outputs,
           const LinearInit& init);

    // x (R, inputs) -> (R, outputs). `then` can add a residual and apply GELU to the sum.
    autograd::Variable operator()(const autograd::Variable& x,
                                  const autograd::LinearEpilogue& then = {}) const;
    const Parameter& weight() const { return *weight_; }

  private:
    Parameter* weight_;          // owned by the table
    Parameter* bias_ = nullptr;  // owned by the table; null without a bias
};

}  // namespace vila::nn
