#include "models/vit.h"

#include "autograd/ops.h"

namespace vila::models {

using autograd::Variable;

namespace {

constexpr int64_t kChannels = 3;

std::string full_name(const std::string& name) {
    return "vision_model." + name;
}

nn::EncoderBlockConfig block_config(const VisionConfig& config) {
    return {.width = config.hidden_size,
            .intermediate = config.intermediate_size,
            .heads = config.num_attention_heads,
            .layer_norm_eps = config.layer_norm_eps,
            .activation = config.activation,
            .init = config.init.linear,
            .residual_scale = config.init.residual_scale};
}

std::optional<nn::LayerNorm> pre_norm(const VisionConfig& config, nn::ParameterTable& table) {
    if (!config.has_class_token()) return std::nullopt;
    return nn::LayerNorm(table, full_name("pre_layrnorm"), config.hidden_size,
                         config.layer_norm_eps);
}

std::vector<nn::EncoderBlock> blocks(const VisionConfig& config, nn::ParameterTable& table) {
    std::vector<nn::EncoderBlock> layers;
    for (int64_t i = 0; i < config.num_hidden_layers; ++i)
        layers.emplace_back(table, full_name(str("encoder.layers.", i)), block_config(config));
    return layers;
}

// The order in which rows of concat_rows(class token, patches) form images: for each image row 0,
// then its patches. (B * (N + 1)) i32.
Tensor class_token_order(Device& device, int64_t images, int64_t patches) {
    std::vector<int32_t> order;
    for (int64_t b = 0; b < images; ++b) {
        order.push_back(0);
        for (int64_t n = 0; n < patches; ++n)
            order.push_back(static_cast<int32_t>(1 + b * patches + n));
    }
    return Tensor::from_values(device, {images * (patches + 1)}, order);
}

}  // namespace

Vit::Vit(const VisionConfig& config, nn::ParameterTable& table)
    : config_(config),
      patch_weight_(&table.declare(
          {.name = full_name("embeddings.patch_embedding.weight"),
           .shape = {config.hidden_size, kChannels, config.patch_size, config.patch_size},
           .axes = "(C, 3, P, P)",
           .init = config.init.linear(kChannels * config.patch_size * config.patch_size),
           .decay = true})),
      position_embedding_(&table.declare({.name = full_name("embeddings.position_embedding.weight"),
                                          .shape = {config.num_positions(), config.hidden_size},
                                          .axes = "(N, C)",
                                          .init = {nn::InitKind::Normal, config.init.position},
                                          .decay = true})),
      pre_layrnorm_(pre_norm(config, table)),
      layers_(blocks(config, table)),
      post_layernorm_(table, full_name("post_layernorm"), config.hidden_size,
                      config.layer_norm_eps),
      table_(table) {
    if (config.has_class_token()) {
        class_embedding_ = &table.declare({.name = full_name("embeddings.class_embedding"),
                                           .shape = {config.hidden_size},
                                           .axes = "(C)",
                                           .init = {nn::InitKind::Normal, config.init.class_token},
                                           .decay = true});
    } else {
        patch_bias_ = &table.declare({.name = full_name("embeddings.patch_embedding.bias"),
                                      .shape = {config.hidden_size},
                                      .axes = "(C)"});
    }
}

int64_t Vit::blocks_for(int64_t index) const {
    const int64_t layers = config_.num_hidden_layers;
    VILA_CHECK(-layers - 1 <= index && index <= layers, "hidden state ", index,
               " of a vision tower with ", layers, " layers");
    return index >= 0 ? index : layers + 1 + index;
}

Variable Vit::embed(const Tensor& pixels) const {
    Device& device = pixels.device();
    const int64_t images = pixels.size(0);
    const int64_t width = config_.hidden_size;
    const Variable patches(autograd::patchify(pixels, config_.patch_size));  // (B*N, 3*P*P)
    const Variable weight = autograd::reshape(patch_weight_->variable, {width, -1});  // (C, 3*P*P)
    const Variable bias = patch_bias_ == nullptr ? Variable() : patch_bias_->variable;  // (C)
    Variable x = autograd::linear(patches, weight, bias);                               // (B*N, C)
    if (class_embedding_ != nullptr) {
        const Variable token = autograd::reshape(class_embedding_->variable, {1, width});  // (1, C)
        x = autograd::gather_rows(autograd::concat_rows(token, x),
                                  class_token_order(device, images, config_.num_patches()));
    }
    const int64_t positions = config_.num_positions();
    const Variable placed = autograd::add(autograd::reshape(x, {images, positions, width}),
                                          position_embedding_->variable);  // (B, positions, C)
    return autograd::reshape(placed, {images * positions, width});
}

Variable Vit::hidden_state(const Tensor& pixels, int64_t index, bool checkpointing) const {
    const Shape expected = {pixels.size(0), kChannels, config_.image_size, config_.image_size};
    VILA_CHECK_EQ(pixels.shape(), expected, "[vit] shape of the pixels");
    const Tensor cu_seqlens =
        autograd::equal_cu_seqlens(pixels.device(), pixels.size(0), config_.num_positions());
    Variable x = embed(pixels);  // (B * positions, C)
    if (pre_layrnorm_) x = (*pre_layrnorm_)(x);
    for (int64_t i = 0; i < blocks_for(index); ++i) {
        const auto body = [this, i, cu_seqlens](const std::vector<Variable>& inputs) {
            const nn::BlockScope scope(block_hook, full_name(str("encoder.layers.", i, ".")));
            return layers_[static_cast<size_t>(i)](inputs[0], cu_seqlens);
        };
        x = checkpointing ? autograd::checkpoint({x}, body) : body({x});
    }
    return x;
}

void Vit::freeze_after(int64_t index) {
    std::vector<std::string> unused = {full_name("post_layernorm.")};
    for (int64_t i = blocks_for(index); i < config_.num_hidden_layers; ++i)
        unused.push_back(full_name(str("encoder.layers.", i, ".")));
    for (nn::Parameter& parameter : table_)
        for (const std::string& prefix : unused)
            if (parameter.name.starts_with(prefix)) parameter.set_trainable(false);
}

Variable Vit::post_layernorm(const Variable& x) const {
    return post_layernorm_(x);
}

}  // namespace vila::models
