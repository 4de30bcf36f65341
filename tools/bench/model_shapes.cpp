#include "tools/bench/model_shapes.h"

namespace vila::tools {

models::LlamaConfig llama_config(const LlamaShape& shape) {
    models::LlamaConfig config;
    config.vocab_size = shape.vocabulary;
    config.hidden_size = shape.width;
    config.intermediate_size = shape.ffn;
    config.num_hidden_layers = shape.layers;
    config.num_attention_heads = config.num_key_value_heads = shape.heads;
    config.head_dim = shape.head_dim;
    config.max_position_embeddings = shape.positions;
    return config;
}

models::VisionConfig vision_config(const VisionShape& shape) {
    models::VisionConfig config;
    config.kind = models::VisionConfig::Kind::Siglip;
    config.hidden_size = shape.width;
    config.intermediate_size = shape.ffn;
    config.num_hidden_layers = shape.layers;
    config.num_attention_heads = shape.heads;
    config.image_size = shape.image_size;
    config.patch_size = shape.patch_size;
    return config;
}

models::VilaConfig vila_config(const VisionShape& vision, const LlamaShape& llm) {
    models::VilaConfig config;
    config.vision = vision_config(vision);
    config.select_layer = -1;
    config.projector.kind = models::ProjectorConfig::Kind::Mlp2xGelu;
    config.llm = llama_config(llm);
    return config;
}

int64_t cache_bytes(const models::LlamaConfig& config, int64_t positions, DType dtype) {
    return 2 * config.num_hidden_layers * positions * config.num_key_value_heads * config.head_dim *
           dtype_size(dtype);
}

}  // namespace vila::tools
