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
                                      const RopeTable& rope) const {
    const auto split = [&](const Variable& x, int64_t heads) {
        return autograd::reshape(x, {normed.size(0), heads, head_dim_});  // (R, heads, D)
    };
    return {autograd::rope(split(q_proj_(normed), heads_), positions, rope.cos, rope.sin),
            autograd::rope(split(k_proj_(normed), key_value_heads_), positions, rope.cos, rope.sin),
            split(v_proj_(normed), key_value_heads_)};
}

Variable LlamaBlock::attend(const Variable& q, const Variable& k, const Variable& v,
                            const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k) const {
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim_));
    const Variable mixed =
        autograd::attention(q, k, v, cu_seqlens_q, cu_seqlens_k, true, scale);  // (R, H, D)
    return autograd::reshape(mixed, {q.size(0), heads_ * head_dim_});
}

Variable LlamaBlock::finish(const Variable& x, const Variable& mixed) const {
    const Variable attended = o_proj_(mixed, {.residual = x});                      // (R, C)
    const Variable normed = post_attention_layernorm_(attended);                    // (R, C)
    const Variable gated = autograd::swiglu(gate_proj_(normed), up_proj_(normed));  // (R, F)
    return down_proj_(gated, {.residual = attended});                               // (R, C)
}

Variable LlamaBlock::operator()(const Variable& x, const Tensor& positions,
                                const Tensor& cu_seqlens, const RopeTable& rope) const {
    const Heads heads = project(input_layernorm_(x), positions, rope);
    const Variable mixed = attend(heads.q, heads.k, heads.v, cu_seqlens, cu_seqlens);  // (R, H*D)
    return finish(x, mixed);
}

DecodeBatch::DecodeBatch(Device& device, std::span<const int64_t> rows,
                         std::span<KvCache* const> caches, int64_t max_positions)
    : rows(rows), caches(caches) {
    VILA_CHECK_EQ(rows.size(), caches.size(), "[decode] row counts for caches");
    std::vector<int32_t> row_positions;
    for (size_t b = 0; b < caches.size(); ++b) {
        const int64_t end = caches[b]->length() + rows[b];
        VILA_CHECK(end <= max_positions, "[decode] ", end, " positions: the model has ",
                   max_positions);
        for (int64_t p = caches[b]->length(); p < end; ++p)
            row_positions.push_back(static_cast<int32_t>(p));
        cu_seqlens_q.push_back(autograd::equal_cu_seqlens(device, 1, rows[b]));
        cu_seqlens_k.push_back(autograd::equal_cu_seqlens(device, 1, end));
    }
    positions =
        Tensor::from_values(device, {static_cast<int64_t>(row_positions.size())}, row_positions);
}

Tensor LlamaBlock::decode(const Tensor& x, const DecodeBatch& batch, const RopeTable& rope) const {
    const Variable input(x);  // (R, C)
    const Heads heads = project(input_layernorm_(input), batch.positions, rope);
    const Tensor mixed =
        Tensor::empty(x.device(), {x.size(0), heads_ * head_dim_}, x.dtype());  // (R, H * D)
    int64_t begin = 0;
    for (size_t b = 0; b < batch.caches.size(); ++b) {
        KvCache& cache = *batch.caches[b];
        const int64_t end = begin + batch.rows[b];
        const int64_t length = cache.length() + batch.rows[b];
        cache.append(layer_, heads.k.value().slice(0, begin, end),
                     heads.v.value().slice(0, begin, end));
        const Variable q(heads.q.value().slice(0, begin, end));  // (rows[b], H, D)
        const Variable k(cache.keys(layer_, length));            // (length, K, D)
        const Variable v(cache.values(layer_, length));          // (length, K, D)
        const Variable out = attend(q, k, v, batch.cu_seqlens_q[b], batch.cu_seqlens_k[b]);
        mixed.slice(0, begin, end).copy_from(out.value());
        begin = end;
    }
    return finish(input, Variable(mixed)).value();
}

Tensor LlamaBlock::decode_token(const Tensor& x, const DevicePosition& position,
                                const KvCache& cache, const RopeTable& rope) const {
    const Variable input(x);  // (1, C)
    const Heads heads = project(input_layernorm_(input), position.position, rope);
    cache.write(layer_, position.position, heads.k.value(), heads.v.value());
    const Variable k(cache.keys(layer_, cache.capacity()));    // (capacity, K, D)
    const Variable v(cache.values(layer_, cache.capacity()));  // (capacity, K, D)
    const Variable mixed =
        attend(heads.q, k, v, position.cu_seqlens_q, position.cu_seqlens_k);  // (1, H * D)
    return finish(input, mixed).value();
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
    lm_head_ =
        &table.declare({.name = "lm_head.weight",
                        .shape = {config.vocab_size, config.hidden_size},
                        .axes = "(V, C)",
                        .init = config.init.linear(config.hidden_size, config.init.head_scale),
                        .decay = true});
}

Variable Llama::embed(const Tensor& ids) const {
    return embed_tokens_(ids);
}

Variable Llama::hidden(const Variable& embeddings, const Tensor& positions,
                       const Tensor& cu_seqlens, bool checkpointing) const {
    Variable x = embeddings;  // (R, C)
    for (size_t i = 0; i < layers_.size(); ++i) {
        const auto body = [this, i, positions, cu_seqlens](const std::vector<Variable>& inputs) {
            const nn::BlockScope scope(block_hook, layer_name(static_cast<int64_t>(i)));
            return layers_[i](inputs[0], positions, cu_seqlens, rope_);
        };
        x = checkpointing ? autograd::checkpoint({x}, body) : body({x});
    }
    return norm_(x);
}

Variable Llama::logits(const Variable& hidden) const {
    return autograd::linear(hidden, head_weight(), Variable());
}

const Variable& Llama::head_weight() const {
    return lm_head_ == nullptr ? embed_tokens_.weight().variable : lm_head_->variable;
}

Tensor Llama::decode(const Tensor& embeddings, std::span<const int64_t> rows,
                     std::span<KvCache* const> caches) const {
    const autograd::NoGrad no_grad(embeddings.device());
    const DecodeBatch batch(embeddings.device(), rows, caches, config_.max_position_embeddings);
    VILA_CHECK_EQ(embeddings.size(0), batch.positions.size(0), "[decode] rows of the embeddings");
    Tensor x = embeddings;  // (R, C)
    for (const LlamaBlock& layer : layers_) x = layer.decode(x, batch, rope_);
    for (size_t b = 0; b < caches.size(); ++b) caches[b]->advance(rows[b]);
    return norm_(Variable(x)).value();
}

Tensor Llama::decode_token(const Tensor& embedding, const DevicePosition& position,
                           const KvCache& cache) const {
    const autograd::NoGrad no_grad(embedding.device());
    Tensor x = embedding;  // (1, C)
    for (const LlamaBlock& layer : layers_) x = layer.decode_token(x, position, cache, rope_);
    return norm_(Variable(x)).value();
}

}  // namespace vila::models
