#include "nn/linear.h"

namespace vila::nn {

Linear::Linear(ParameterTable& table, const std::string& name, int64_t inputs, int64_t outputs,
               const LinearInit& init)
    : weight_(&table.declare({.name = name + ".weight",
                              .shape = {outputs, inputs},
                              .axes = "(outputs, inputs)",
                              .init = init.weight,
                              .decay = true})) {
    if (!init.has_bias) return;
    bias_ = &table.declare({.name = name + ".bias",
                            .shape = {outputs},
                            .axes = "(outputs)",
                            .init = init.bias,
                            .decay = false,
                            .share = init.bias_share});
}

autograd::Variable Linear::operator()(const autograd::Variable& x,
                                      const autograd::LinearEpilogue& then) const {
    return autograd::linear(x, weight_->variable,
                            bias_ == nullptr ? autograd::Variable() : bias_->variable, then);
}

}  // namespace vila::nn
