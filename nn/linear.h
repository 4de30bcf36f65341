#pragma once

// A linear layer: y = x W^T + b. W is a floating-point or a block-quantized matrix, as
// ParameterTable::assign left it, and may have a low-rank adapter.

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
    // Null without a bias.
    const Parameter* bias() const { return bias_; }
    // The parameters, owned by the table: weight, then bias if there is one.
    std::vector<Parameter*> parameters() const;

  private:
    // The layer without its adapter.
    autograd::Variable base(const autograd::Variable& x,
                            const autograd::LinearEpilogue& then) const;

    Parameter* weight_;          // owned by the table
    Parameter* bias_ = nullptr;  // owned by the table; null without a bias
};

// Declares the parameters of an adapter in `table`, under the names of PEFT, and gives it to
// `weight`, the weight of a Linear. NAME is that of the weight without ".weight".
//     NAME.lora_A.weight (rank, inputs)     uniform by fan-in
//     NAME.lora_B.weight (outputs, rank)    zeros, so that a new adapter changes nothing
// Throws if the weight already has an adapter or is not that of a Linear.
void add_adapter(ParameterTable& table, Parameter& weight, int64_t rank, double scale);

}  // namespace vila::nn
