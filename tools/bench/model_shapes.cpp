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

int64_t weight_bytes_per_token(const models::VilaModel& model) {
    const models::LlamaConfig& llm = model.config().llm;
    int64_t elements = model.llm_table().count();
    if (!llm.tie_word_embeddings) elements -= (llm.vocab_size - 1) * llm.hidden_size;
    return elements * dtype_size(model.dtype());
}

std::vector<Tensor> decoded_matrices(const models::VilaModel& model) {
    const bool tied = model.config().llm.tie_word_embeddings;
    std::vector<Tensor> found;
    for (const nn::Parameter& parameter : model.llm_table()) {
        const bool looked_up = parameter.name.find("embed_tokens") != std::string::npos;
        if (parameter.shape.rank() == 2 && (tied || !looked_up))
            found.push_back(parameter.variable.value());
    }
    return found;
}

}  // namespace vila::tools
