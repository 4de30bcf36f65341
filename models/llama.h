#pragma once

// The language model (Touvron et al. 2023, LLaMA; Dubey et al. 2024, Llama 3; Yang et al. 2024,
// Qwen2): embedding, L pre-norm blocks of grouped-query attention with rotary positions and SwiGLU,
// a final norm, and the head. Works on the rows of sequences laid end to end.

#include <span>
#include <vector>

#include "models/block_linear.h"
#include "models/config.h"
#include "models/kv_cache.h"
#include "nn/block_hook.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace vila::models {

// cos and sin of every angle, (max positions, D / 2), f32 (f64 for f64 models).
struct RopeTable {
    Tensor cos, sin;
    RopeTable(const LlamaConfig& config, Device& device, DType dtype);
};

// The positions, boundaries and image rows of B sequences, whose R rows are laid end to end.
struct PackedRows {
    Tensor positions;        // (R) i32
    Tensor cu_seqlens;       // (B + 1) i32
    Tensor image_rows = {};  // (M) i32: the rows of image tokens; undefined or empty: none
};

// One block: x + attention(norm(x)), then x + mlp(norm(x)).
class LlamaBlock {
  public:
    LlamaBlock(nn::ParameterTable& table, int64_t layer, const LlamaConfig& config);

    // x (R, C) -> (R, C).
    autograd::Variable operator()(const autograd::Variable& x, const PackedRows& rows,
                                  const RopeTable& rope) const;
    // The same block for new rows (R, C) of sequences in a cache. Call it under NoGrad.
    Tensor decode(const Tensor& x, const CachedRows& rows, const KvCache& cache,
                  const RopeTable& rope) const;

    // Gives the rows of images a linear layer of their own in place of `name`, such as
    // "self_attn.q_proj". Throws if the block has no such layer.
    void set_image_linear(const std::string& name, const nn::Linear& linear);
    // Moves the weights of q, k and v into one block of memory, and those of gate and up into
    // another (nn/fused_linear.h).
    void lay_weights_together();

  private:
    struct Heads {
        autograd::Variable q, k, v;  // (R, H, D), (R, K, D), (R, K, D); q and k rotated
    };
    Heads project(const autograd::Variable& normed, const Tensor& positions,
                  const Tensor& image_rows, const RopeTable& rope) const;
    // Returns 1 / sqrt(D), the factor of attention scores.
    double attention_scale() const;
    // x + o_proj(mixed) = y, then y + mlp(norm(y)). x (R, C), mixed (R, H * D) -> (R, C).
    autograd::Variable finish(const autograd::Variable& x, const autograd::Variable& mixed,
                              const Tensor& image_rows) const;

    int64_t layer_;
    int64_t heads_, key_value_heads_, head_dim_;
    nn::RmsNorm input_layernorm_;
    BlockLinear q_proj_, k_proj_, v_proj_, o_proj_;
    nn::RmsNorm post_attention_layernorm_;
    BlockLinear gate_proj_, up_proj_, down_proj_;
};

class Llama {
  public:
    // Declares all weights in `table` under their Hugging Face names. They have values once the
    // table is initialized or loaded.
    Llama(const LlamaConfig& config, nn::ParameterTable& table, Device& device, DType dtype);
    Llama(const Llama&) = delete;
    Llama& operator=(const Llama&) = delete;

    const LlamaConfig& config() const { return config_; }
    // ids (R) i32 -> (R, C).
    autograd::Variable embed(const Tensor& ids) const;
    // Embeddings (R, C) -> the last hidden state after the final norm (R, C). With `checkpointing`,
    // backward runs each block again instead of keeping its activations.
    autograd::Variable hidden(const autograd::Variable& embeddings, const PackedRows& rows,
                              bool checkpointing) const;
    // Hidden state (R, C) -> logits (R, V).
    autograd::Variable logits(const autograd::Variable& hidden) const;
    // The weight of the head (V, C): lm_head, or the embedding table if they are tied.
    const autograd::Variable& head_weight() const;

    // Embeddings (R, C) of new rows of sequences in `cache` -> their last hidden state after the
    // final norm (R, C). Writes their keys and values to the cache. The launches depend only on the
    // shapes of `rows`, so its values may be known to the device alone.
    Tensor decode(const Tensor& embeddings, const CachedRows& rows, const KvCache& cache) const;

    // Gives the rows of images a linear layer of their own in place of one of a block, such as
    // "model.layers.0.mlp.up_proj". Throws if there is no such layer.
    void set_image_linear(const std::string& name, const nn::Linear& linear);
    // Returns true if a block has such a layer. If none has, image_rows change nothing.
    bool uses_image_rows() const { return uses_image_rows_; }
    // Moves weights that read the same input together, so that decoding computes fewer, larger
    // products. The results have the same bits on a CPU. Parameters keep their names and values.
    void lay_weights_together();

    // Called before and after every use of a block's weights, if set.
    nn::BlockHook* block_hook = nullptr;

  private:
    LlamaConfig config_;
    RopeTable rope_;
    nn::Embedding embed_tokens_;
    std::vector<LlamaBlock> layers_;
    nn::RmsNorm norm_;
    std::optional<nn::Linear> lm_head_;  // absent if the embedding table is the head
    bool uses_image_rows_ = false;
};

}  // namespace vila::models
