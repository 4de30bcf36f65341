#include "nn/encoder_block.h"

#include <cmath>

namespace vila::nn {

namespace {

Linear biased_linear(ParameterTable& table, const std::string& name, int64_t inputs,
                     int64_t outputs, const EncoderBlockConfig& config, double factor = 1.0) {
    return {
        table, name, inputs, outputs, {.weight = config.init(inputs, factor), .has_bias = true}};
}

}  // namespace

EncoderBlock::EncoderBlock(ParameterTable& table, const std::string& name,
                           const EncoderBlockConfig& config)
    : config_(config),
      layer_norm1_(table, name + ".layer_norm1", config.width, config.layer_norm_eps),
      q_proj_(biased_linear(table, name + ".self_attn.q_proj", config.width, config.width, config)),
      k_proj_(biased_linear(table, name + ".self_attn.k_proj", config.width, config.width, config)),
      v_proj_(biased_linear(table, name + ".self_attn.v_proj", config.width, config.width, config)),
      out_proj_(biased_linear(table, name + ".self_attn.out_proj", config.width, config.width,
                              config, config.residual_scale)),
      layer_norm2_(table, name + ".layer_norm2", config.width, config.layer_norm_eps),
      fc1_(biased_linear(table, name + ".mlp.fc1", config.width, config.intermediate, config)),
      fc2_(biased_linear(table, name + ".mlp.fc2", config.intermediate, config.width, config,
                         config.residual_scale)) {
    VILA_CHECK(config.heads > 0 && config.width % config.heads == 0, name, ": width ", config.width,
               " does not divide into ", config.heads, " heads");
}

autograd::Variable EncoderBlock::operator()(const autograd::Variable& x,
                                            const Tensor& cu_seqlens) const {
    const int64_t head_dim = config_.width / config_.heads;  // D
    const Shape heads = {x.size(0), config_.heads, head_dim};
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));

    const autograd::Variable normed = layer_norm1_(x);     // (R, C)
    const autograd::Variable mixed = autograd::attention(  // (R, H, D)
        autograd::reshape(q_proj_(normed), heads), autograd::reshape(k_proj_(normed), heads),
        autograd::reshape(v_proj_(normed), heads), cu_seqlens, cu_seqlens, config_.causal, scale);
    const autograd::Variable attended =  // (R, C)
        out_proj_(autograd::reshape(mixed, x.shape()), {.residual = x});
    const autograd::Variable hidden =  // (R, F)
        fc1_(layer_norm2_(attended), {.gelu = config_.activation});
    return fc2_(hidden, {.residual = attended});
}

}  // namespace vila::nn
