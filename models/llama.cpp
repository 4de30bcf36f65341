#include "models/llama.h"

#include <cmath>

#include "autograd/ops.h"

namespace vila::models {

using autograd::Variable;

namespace {

std::string layer_name(int64_t layer) {
    return str("model.layers.", layer, ".");
}

nn::LinearInit matrix(const LlamaConfig& config, int64_t inputs, bool has_bias,
                      double factor = 1.0) {
    return {.weight = config.init.linear(inputs, factor), .has_bias = has_bias};
}

// The q and k biases of a layer start equal, so that a query matches the keys that resemble it.
// In-context look-up develops from such matches.
nn::LinearInit query_or_key(const LlamaConfig& config, int64_t layer) {
    nn::LinearInit init = matrix(config, config.hidden_size, config.qkv_bias);
    if (config.init.qk_bias > 0.0) {
        init.bias = {nn::InitKind::Normal, config.init.qk_bias};
        init.bias_share = layer_name(layer) + "qk_bias";
    }
    return init;
}

}  // namespace

RopeTable::RopeTable(const LlamaConfig& config, Device& device, DType dtype) {
    const std::vector<double> frequencies = config.rope.frequencies(config.head_dim);  // (D / 2)
    const Shape shape = {config.max_position_embeddings, config.head_dim / 2};
    std::vector<double> cosines, sines;  // of shape `shape`
    for (int64_t position = 0; position < shape[0]; ++position)
        for (const double frequency : frequencies) {
            cosines.push_back(std::cos(static_cast<double>(position) * frequency));
            sines.push_back(std::sin(static_cast<double>(position) * frequency));
        }
    const DType table_dtype = dtype == DType::F64 ? DType::F64 : DType::F32;
    cos = Tensor::from_values(device, shape, cosines).to(table_dtype);
    sin = Tensor::from_values(device, shape, sines).to(table_dtype);
}

LlamaBlock::LlamaBlock(nn::ParameterTable& table, int64_t layer, const LlamaConfig& config)
    : layer_(layer),
      heads_(config.num_attention_heads),
      key_value_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      input_layernorm_(table, layer_name(layer) + "input_layernorm", config.hidden_size,
                       config.rms_norm_eps),
      q_proj_(table, layer_name(layer) + "self_attn.q_proj", config.hidden_size, heads_ * head_dim_,
              query_or_key(config, layer)),
      k_proj_(table, layer_name(layer) + "self_attn.k_proj", config.hidden_size,
              key_value_heads_ * head_dim_, query_or_key(config, layer)),
      v_proj_(table, layer_name(layer) + "self_attn.v_proj", config.hidden_size,
              key_value_heads_ * head_dim_, matrix(config, config.hidden_size, config.qkv_bias)),
      o_proj_(table, layer_name(layer) + "self_attn.o_proj", heads_ * head_dim_, config.hidden_size,
              matrix(config, heads_ * head_dim_, config.output_bias, config.init.residual_scale)),
      post_attention_layernorm_(table, layer_name(layer) + "post_attention_layernorm",
                                config.hidden_size, config.rms_norm_eps),
      gate_proj_(table, layer_name(layer) + "mlp.gate_proj", config.hidden_size,
                 config.intermediate_size, matrix(config, config.hidden_size, config.mlp_bias)),
      up_proj_(table, layer_name(layer) + "mlp.up_proj", config.hidden_size,
               config.intermediate_size, matrix(config, config.hidden_size, config.mlp_bias)),
      down_proj_(
          table, layer_name(layer) + "mlp.down_proj", config.intermediate_size, config.hidden_size,
          matrix(config, config.intermediate_size, config.mlp_bias, config.init.residual_scale)) {}

LlamaBlock::Heads LlamaBlock::project(const Variable& normed, const Tensor& positions,
                                      const Tensor& image_rows, const RopeTable& rope) const {
    const BlockLinear* const matrices[] = {&q_proj_, &k_proj_, &v_proj_};
    // (R, H * D), (R, K * D), (R, K * D)
    const std::vector<Variable> qkv = apply_together(matrices, normed, image_rows);
    const auto split = [&](const Variable& x, int64_t heads) {
        return autograd::reshape(x, {normed.size(0), heads, head_dim_});  // (R, heads, D)
    };
    return {autograd::rope(split(qkv[0], heads_), positions, rope.cos, rope.sin),
            autograd::rope(split(qkv[1], key_value_heads_), positions, rope.cos, rope.sin),
            split(qkv[2], key_value_heads_)};
}

double LlamaBlock::attention_scale() const {
    return 1.0 / std::sqrt(static_cast<double>(head_dim_));
}

Variable LlamaBlock::finish(const Variable& x, const Variable& mixed,
                            const Tensor& image_rows) const {
    const Variable attended = o_proj_(mixed, image_rows, {.residual = x});  // (R, C)
    const Variable normed = post_attention_layernorm_(attended);            // (R, C)
    // Backward adds the gradients of `normed` in the reverse of this order, which their last bits
    // depend on.
    const BlockLinear* const matrices[] = {&up_proj_, &gate_proj_};
    const std::vector<Variable> up_gate = apply_together(matrices, normed, image_rows);  // (R, F)
    const Variable gated = autograd::swiglu(up_gate[1], up_gate[0]);                     // (R, F)
    return down_proj_(gated, image_rows, {.residual = attended});                        // (R, C)
}

Variable LlamaBlock::operator()(const Variable& x, const PackedRows& rows,
                                const RopeTable& rope) const {
    const Heads heads = project(input_layernorm_(x), rows.positions, rows.image_rows, rope);
    const Variable mixed =
        autograd::attention(heads.q, heads.k, heads.v, rows.cu_seqlens, rows.cu_seqlens, true,
                            attention_scale());  // (R, H, D)
    return finish(x, autograd::reshape(mixed, {x.size(0), heads_ * head_dim_}), rows.image_rows);
}

void LlamaBlock::set_image_linear(const std::string& name, const nn::Linear& linear) {
    const std::string full = layer_name(layer_) + name + ".weight";
    for (BlockLinear* own :
         {&q_proj_, &k_proj_, &v_proj_, &o_proj_, &gate_proj_, &up_proj_, &down_proj_}) {
        const nn::Parameter& weight = own->linear().weight();
        if (weight.name != full) continue;
        VILA_CHECK_EQ(linear.weight().shape, weight.shape, "shape of ", linear.weight().name,
                      ", for images in place of ", full);
        own->set_image_linear(linear);
        return;
    }
    throw Error(str("a block has no linear layer ", name));
}

void LlamaBlock::lay_weights_together() {
    const BlockLinear* const qkv[] = {&q_proj_, &k_proj_, &v_proj_};
    const BlockLinear* const up_gate[] = {&up_proj_, &gate_proj_};
    lay_together(qkv);
    lay_together(up_gate);
}

Tensor LlamaBlock::decode(const Tensor& x, const CachedRows& rows, const KvCache& cache,
                          const RopeTable& rope) const {
    const Variable input(x);  // (R, C)
    const Heads heads = project(input_layernorm_(input), rows.positions, rows.image_rows, rope);
    cache.write(layer_, rows.cache_rows, heads.k.value(), heads.v.value());
    const Tensor mixed = autograd::paged_attention(
        heads.q.value(), cache.keys(layer_), cache.values(layer_), rows.cu_seqlens_q,
        rows.cu_seqlens_k, rows.pages, attention_scale());  // (R, H, D)
    const Variable joined(mixed.reshape({x.size(0), heads_ * head_dim_}));
    return finish(input, joined, rows.image_rows).value();
}

Llama::Llama(const LlamaConfig& config, nn::ParameterTable& table, Device& device, DType dtype)
    : config_(config),
      rope_(config, device, dtype),
      embed_tokens_(table, "model.embed_tokens", config.vocab_size, config.hidden_size,
                    {nn::InitKind::Normal, config.init.embedding}),
      layers_([&] {
          std::vector<LlamaBlock> layers;
          for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer)
              layers.emplace_back(table, layer, config);
          return layers;
      }()),
      norm_(table, "model.norm", config.hidden_size, config.rms_norm_eps) {
    if (config.tie_word_embeddings) return;
    lm_head_.emplace(table, "lm_head", config.hidden_size, config.vocab_size,
                     matrix(config, config.hidden_size, false, config.init.head_scale));
}

Variable Llama::embed(const Tensor& ids) const {
    return embed_tokens_(ids);
}

Variable Llama::hidden(const Variable& embeddings, const PackedRows& rows,
                       bool checkpointing) const {
    Variable x = embeddings;  // (R, C)
    for (size_t i = 0; i < layers_.size(); ++i) {
        const auto body = [this, i, rows](const std::vector<Variable>& inputs) {
            const nn::BlockScope scope(block_hook, layer_name(static_cast<int64_t>(i)));
            return layers_[i](inputs[0], rows, rope_);
        };
        x = checkpointing ? autograd::checkpoint({x}, body) : body({x});
    }
    return norm_(x);
}

Variable Llama::logits(const Variable& hidden) const {
    return lm_head_ ? (*lm_head_)(hidden) : autograd::linear(hidden, head_weight(), Variable());
}

const Variable& Llama::head_weight() const {
    return (lm_head_ ? lm_head_->weight() : embed_tokens_.weight()).variable;
}

void Llama::lay_weights_together() {
    for (LlamaBlock& layer : layers_) layer.lay_weights_together();
}

void Llama::set_image_linear(const std::string& name, const nn::Linear& linear) {
    for (size_t i = 0; i < layers_.size(); ++i) {
        const std::string block = layer_name(static_cast<int64_t>(i));
        if (!name.starts_with(block)) continue;
        layers_[i].set_image_linear(name.substr(block.size()), linear);
        uses_image_rows_ = true;
        return;
    }
    throw Error(str("the language model has no block with a linear layer ", name));
}

Tensor Llama::decode(const Tensor& embeddings, const CachedRows& rows, const KvCache& cache) const {
    const autograd::NoGrad no_grad(embeddings.device());
    VILA_CHECK_EQ(embeddings.size(0), rows.positions.size(0), "[decode] rows of the embeddings");
    Tensor x = embeddings;  // (R, C)
    for (const LlamaBlock& layer : layers_) x = layer.decode(x, rows, cache, rope_);
    return norm_(Variable(x)).value();
}

}  // namespace vila::models
