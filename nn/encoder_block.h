#pragma once

// The pre-norm transformer block of vision towers (Dosovitskiy et al. 2021), with the parameter
// names of CLIP and SigLIP in Hugging Face transformers. The transformer projector and the text
// tower of contrastive training use it too.

#include "autograd/ops.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace vila::nn {

struct EncoderBlockConfig {
    int64_t width = 0;         // C
    int64_t intermediate = 0;  // F
    int64_t heads = 0;         // H; divides C
    double layer_norm_eps = 1e-5;
    GeluKind activation = GeluKind::Erf;
    bool causal = false;
    InitRule init = {};  // of the matrices; biases start at zero
    // Multiplies the initial values of out_proj and fc2, whose results are added to the residual.
    double residual_scale = 1.0;
};

class EncoderBlock {
  public:
    // Declares NAME.{layer_norm1, self_attn.{q,k,v,out}_proj, layer_norm2, mlp.{fc1,fc2}}, each
    // with weight and bias.
    EncoderBlock(ParameterTable& table, const std::string& name, const EncoderBlockConfig& config);

    // x (R, C) -> (R, C). x holds packed sequences: rows [cu_seqlens[b], cu_seqlens[b + 1]) are
    // sequence b, cu_seqlens (B + 1) i32. Rows attend only to rows of their own sequence.
    autograd::Variable operator()(const autograd::Variable& x, const Tensor& cu_seqlens) const;

  private:
    EncoderBlockConfig config_;
    LayerNorm layer_norm1_;
    Linear q_proj_, k_proj_, v_proj_, out_proj_;
    LayerNorm layer_norm2_;
    Linear fc1_, fc2_;
};

}  // namespace vila::nn
