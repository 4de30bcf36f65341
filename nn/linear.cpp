#include "nn/linear.h"

#include "nn/init.h"

namespace vila::nn {

Linear::Linear(ParameterTable& table, const std::string& name, int64_t inputs, int64_t outputs,
               const LinearInit& init)
    : weight_(&table.declare({.name = name + ".weight",
                              .shape = {outputs, inputs},
                              .axes = "(outputs, inputs)",
                              .init = init.weight,
                              .decay = true,
                              .is_linear = true})) {
    if (!init.has_bias) return;
    bias_ = &table.declare({.name = name + ".bias",
                            .shape = {outputs},
                            .axes = "(outputs)",
                            .init = init.bias,
                            .decay = false,
                            .share = init.bias_share});
}

autograd::Variable Linear::base(const autograd::Variable& x,
                                const autograd::LinearEpilogue& then) const {
    const autograd::Variable bias = bias_ == nullptr ? autograd::Variable() : bias_->variable;
    if (weight_->quantized.defined())
        return autograd::quantized_linear(x, weight_->quantized, bias, then);
    return autograd::linear(x, weight_->variable, bias, then);
}

autograd::Variable Linear::operator()(const autograd::Variable& x,
                                      const autograd::LinearEpilogue& then) const {
    if (!weight_->adapter) return base(x, then);
    const LowRankAdapter& adapter = *weight_->adapter;
    const autograd::Variable y = base(x, {.residual = then.residual});  // (R, outputs)
    const autograd::Variable low =
        autograd::scale(autograd::linear(x, adapter.a->variable, autograd::Variable()),
                        adapter.scale);  // (R, rank)
    return autograd::linear(low, adapter.b->variable, autograd::Variable(),
                            {.residual = y, .gelu = then.gelu});
}

std::vector<Parameter*> Linear::parameters() const {
    if (bias_ == nullptr) return {weight_};
    return {weight_, bias_};
}

void add_adapter(ParameterTable& table, Parameter& weight, int64_t rank, double scale) {
    VILA_CHECK(weight.is_linear, "adapter of ", weight.name, ": not the weight of a linear layer");
    VILA_CHECK(!weight.adapter, "adapter of ", weight.name, ": the weight already has one");
    VILA_CHECK(rank > 0, "adapter of ", weight.name, ": rank ", rank, ": expected at least 1");
    const int64_t outputs = weight.shape[0], inputs = weight.shape[1];
    const std::string name = weight.name.substr(0, weight.name.size() - std::size(".weight") + 1);
    const InitRule by_fan_in{InitRule::Kind::FanInUniform, 1.0};
    weight.adapter = LowRankAdapter{.a = &table.declare({.name = name + ".lora_A.weight",
                                                         .shape = {rank, inputs},
                                                         .axes = "(rank, inputs)",
                                                         .init = by_fan_in(inputs),
                                                         .decay = true}),
                                    .b = &table.declare({.name = name + ".lora_B.weight",
                                                         .shape = {outputs, rank},
                                                         .axes = "(outputs, rank)",
                                                         .decay = true}),
                                    .scale = scale};
}

}  // namespace vila::nn
