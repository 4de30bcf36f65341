#include "models/projector.h"

#include "autograd/ops.h"

namespace vila::models {

using autograd::Variable;
using Kind = ProjectorConfig::Kind;

namespace {

constexpr double kLayerNormEps = 1e-5;
constexpr int64_t kMergedTokens = 4;  // 2 x 2

nn::Linear linear(const ProjectorConfig& config, nn::ParameterTable& table, const std::string& name,
                  int64_t inputs) {
    return {
        table, name, inputs, config.hidden_size, {.weight = config.init(inputs), .has_bias = true}};
}

nn::LayerNorm norm(nn::ParameterTable& table, const std::string& name, int64_t width) {
    return {table, name, width, kLayerNormEps};
}

nn::EncoderBlock block(const ProjectorConfig& config, nn::ParameterTable& table) {
    return {table,
            "layers.1",
            {.width = config.hidden_size,
             .intermediate = 4 * config.hidden_size,
             .heads = config.num_attention_heads,
             .layer_norm_eps = kLayerNormEps,
             .activation = GeluKind::Erf,
             .init = config.init}};
}

}  // namespace

Projector::Projector(const ProjectorConfig& config, nn::ParameterTable& table) : config_(config) {
    switch (config.kind) {
        case Kind::Linear:
            input_.emplace(linear(config, table, "layers", config.mm_hidden_size));
            break;
        case Kind::Mlp2xGelu:
            input_.emplace(linear(config, table, "layers.0", config.mm_hidden_size));
            output_.emplace(linear(config, table, "layers.2", config.hidden_size));
            break;
        case Kind::Transformer:
            input_.emplace(linear(config, table, "layers.0", config.mm_hidden_size));
            block_.emplace(block(config, table));
            output_norm_.emplace(norm(table, "layers.2", config.hidden_size));
            output_.emplace(linear(config, table, "layers.3", config.hidden_size));
            break;
        case Kind::MlpDownsample: {
            const int64_t merged = kMergedTokens * config.mm_hidden_size;
            input_norm_.emplace(norm(table, "layers.1", merged));
            input_.emplace(linear(config, table, "layers.2", merged));
            output_.emplace(linear(config, table, "layers.4", config.hidden_size));
            break;
        }
    }
}

Variable Projector::operator()(const Variable& features, int64_t images) const {
    switch (config_.kind) {
        case Kind::Linear:
            return (*input_)(features);
        case Kind::Mlp2xGelu:
            return (*output_)((*input_)(features, {.gelu = GeluKind::Erf}));
        case Kind::Transformer: {
            const Tensor cu_seqlens =
                nn::equal_cu_seqlens(features.device(), images, features.size(0) / images);
            const Variable mixed = (*block_)((*input_)(features), cu_seqlens);
            return (*output_)((*output_norm_)(mixed));
        }
        case Kind::MlpDownsample: {
            const Variable grid = autograd::reshape(
                features, {images, features.size(0) / images, config_.mm_hidden_size});
            const bool column_major = config_.token_order == ProjectorConfig::TokenOrder::Column;
            const Variable merged = autograd::merge_tokens(grid, column_major);
            const Variable rows =
                autograd::reshape(merged, {merged.size(0) * merged.size(1), merged.size(2)});
            return (*output_)((*input_)((*input_norm_)(rows), {.gelu = GeluKind::Erf}));
        }
    }
    VILA_ASSERT(false && "every kind has returned");
}

}  // namespace vila::models
