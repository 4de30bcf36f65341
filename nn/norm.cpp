#include "nn/norm.h"

#include "autograd/ops.h"

namespace vila::nn {

namespace {

Parameter* declare_vector(ParameterTable& table, const std::string& name, int64_t width,
                          InitKind kind) {
    return &table.declare({.name = name, .shape = {width}, .axes = "(C)", .init = {.kind = kind}});
}

}  // namespace

RmsNorm::RmsNorm(ParameterTable& table, const std::string& name, int64_t width, double eps)
    : weight_(declare_vector(table, name + ".weight", width, InitKind::Ones)), eps_(eps) {}

autograd::Variable RmsNorm::operator()(const autograd::Variable& x) const {
    return autograd::rms_norm(x, weight_->variable, eps_);
}

LayerNorm::LayerNorm(ParameterTable& table, const std::string& name, int64_t width, double eps)
    : weight_(declare_vector(table, name + ".weight", width, InitKind::Ones)),
      bias_(declare_vector(table, name + ".bias", width, InitKind::Zeros)),
      eps_(eps) {}

autograd::Variable LayerNorm::operator()(const autograd::Variable& x) const {
    return autograd::layer_norm(x, weight_->variable, bias_->variable, eps_);
}

}  // namespace vila::nn
