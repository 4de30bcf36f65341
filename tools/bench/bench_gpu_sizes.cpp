// What is measured on a GPU: the shapes of a model of some half billion parameters, and toys.

#include "tools/bench/bench_gpu.h"

namespace vila::tools {

GpuBenchSizes gpu_bench_sizes() {
    GpuBenchSizes sizes{.copy_bytes = int64_t{1} << 30,
                        .ceiling = 8192,
                        .sample_seconds = 0.02,
                        .layers = {{16384, 2048, 5632}, {16384, 4096, 4096}, {4616, 1024, 4096}},
                        .attention = {{"ViT-L, 8 x 577, D 64", std::vector<int64_t>(8, 577),
                                       std::vector<int64_t>(8, 577), 16, 16, 64, false},
                                      {"LLM, 4 x 2048, D 128", std::vector<int64_t>(4, 2048),
                                       std::vector<int64_t>(4, 2048), 16, 16, 128, true},
                                      {"LLM, 4096, D 128", {4096}, {4096}, 32, 8, 128, true}},
                        .norm_rows = 16384,
                        .norm_width = 4096,
                        .step = {.model = {}, .sequences = 8, .text_tokens = 1472},
                        .decoder = {},
                        .context = 640,
                        .tokens = 64};
    models::LlamaConfig& llm = sizes.decoder;
    llm.vocab_size = 32000;
    llm.hidden_size = 2048;
    llm.intermediate_size = 5632;
    llm.num_hidden_layers = 8;
    llm.num_attention_heads = llm.num_key_value_heads = 16;
    llm.head_dim = 128;
    llm.max_position_embeddings = 2048;
    models::VisionConfig vision;
    vision.kind = models::VisionConfig::Kind::Siglip;  // no class token
    vision.hidden_size = 1024;
    vision.intermediate_size = 4096;
    vision.num_hidden_layers = 12;
    vision.num_attention_heads = 16;
    vision.image_size = 336;
    vision.patch_size = 14;
    sizes.step.model.vision = vision;
    sizes.step.model.select_layer = -1;
    sizes.step.model.projector.kind = models::ProjectorConfig::Kind::Mlp2xGelu;
    sizes.step.model.llm = llm;
    return sizes;
}

GpuBenchSizes small_gpu_bench_sizes() {
    GpuBenchSizes sizes = gpu_bench_sizes();
    sizes.copy_bytes = 1 << 16;
    sizes.ceiling = 64;
    sizes.sample_seconds = 0.0;
    sizes.layers = {{9, 16, 24}};
    sizes.attention = {{"packed, D 16", {7, 20}, {7, 20}, 4, 2, 16, true}};
    sizes.norm_rows = 5;
    sizes.norm_width = 40;
    models::LlamaConfig& llm = sizes.decoder;
    llm.vocab_size = 50;
    llm.hidden_size = 32;
    llm.intermediate_size = 48;
    llm.num_hidden_layers = 2;
    llm.num_attention_heads = llm.num_key_value_heads = 2;
    llm.head_dim = 16;
    llm.max_position_embeddings = 64;
    sizes.step.sequences = 2;
    sizes.step.text_tokens = 6;
    sizes.step.model.llm = llm;
    models::VisionConfig& vision = *sizes.step.model.vision;
    vision.hidden_size = 32;
    vision.intermediate_size = 64;
    vision.num_hidden_layers = 1;
    vision.num_attention_heads = 2;
    vision.image_size = 28;
    sizes.context = 10;
    sizes.tokens = 4;
    return sizes;
}

}  // namespace vila::tools
