#include "models/projector.h"

#include "autograd/ops.h"
#include "nn/encoder_block.h"

namespace vila::models {

using autograd::Variable;
using Kind = ProjectorConfig::Layer;

namespace {

constexpr double kLayerNormEps = 1e-5;
constexpr int64_t kMergedTokens = 4;  // 2 x 2

// x (I * N, D) -> (I * N', 4D).
Variable merge(const Variable& x, int64_t images, bool column_major) {
    const Variable grid =
        autograd::reshape(x, {images, x.size(0) / images, x.size(1)});   // (I, N, D)
    const Variable merged = autograd::merge_tokens(grid, column_major);  // (I, N', 4D)
    return autograd::reshape(merged, {merged.size(0) * merged.size(1), merged.size(2)});
}

Projector::Layer linear_layer(const ProjectorConfig& config, nn::ParameterTable& table,
                              const std::string& name, int64_t width, bool has_gelu) {
    const nn::LinearInit init = {.weight = config.init(width), .has_bias = true};
    autograd::LinearEpilogue epilogue;
    if (has_gelu) epilogue.gelu = GeluKind::Erf;
    return [linear = nn::Linear(table, name, width, config.hidden_size, init), epilogue](
               const Variable& x, int64_t) { return linear(x, epilogue); };
}

Projector::Layer block_layer(const ProjectorConfig& config, nn::ParameterTable& table,
                             const std::string& name, int64_t width) {
    const nn::EncoderBlockConfig block = {.width = width,
                                          .intermediate = 4 * width,
                                          .heads = config.num_attention_heads,
                                          .layer_norm_eps = kLayerNormEps,
                                          .activation = GeluKind::Erf,
                                          .init = config.init};
    return [block = nn::EncoderBlock(table, name, block)](const Variable& x, int64_t images) {
        return block(x, autograd::equal_cu_seqlens(x.device(), images, x.size(0) / images));
    };
}

}  // namespace

Projector::Projector(const ProjectorConfig& config, nn::ParameterTable& table) : config_(config) {
    const auto kinds = config.layers();
    const bool column_major = config.token_order == ProjectorConfig::TokenOrder::Column;
    int64_t width = config.mm_hidden_size;  // of the rows that the layer reads
    for (size_t i = 0; i < kinds.size(); ++i) {
        const std::string name = kinds.size() == 1 ? "layers" : str("layers.", i);
        const bool has_gelu = i + 1 < kinds.size() && kinds[i + 1] == Kind::Gelu;
        switch (kinds[i]) {
            case Kind::Merge:
                layers_.push_back([column_major](const Variable& x, int64_t images) {
                    return merge(x, images, column_major);
                });
                width *= kMergedTokens;
                break;
            case Kind::LayerNorm:
                layers_.push_back([norm = nn::LayerNorm(table, name, width, kLayerNormEps)](
                                      const Variable& x, int64_t) { return norm(x); });
                break;
            case Kind::Linear:
                layers_.push_back(linear_layer(config, table, name, width, has_gelu));
                width = config.hidden_size;
                break;
            case Kind::Gelu:
                VILA_ASSERT(i > 0 && kinds[i - 1] == Kind::Linear);
                break;
            case Kind::Block:
                layers_.push_back(block_layer(config, table, name, width));
                break;
        }
    }
}

Variable Projector::operator()(const Variable& features, int64_t images) const {
    Variable x = features;  // (I * N, Cv)
    for (const Layer& layer : layers_) x = layer(x, images);
    return x;  // (I * N', C)
}

}  // namespace vila::models
