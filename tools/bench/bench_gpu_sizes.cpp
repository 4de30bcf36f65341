// Sizes of the GPU benchmarks: the shapes of a model with about half a billion parameters, and toy
// sizes for tests.

#include "tools/bench/bench_gpu.h"
#include "tools/bench/model_shapes.h"

namespace vila::tools {

GpuBenchSizes gpu_bench_sizes() {
    const LlamaShape llm = {.vocabulary = 32000,
                            .width = 2048,
                            .ffn = 5632,
                            .layers = 8,
                            .heads = 16,
                            .head_dim = 128,
                            .positions = 2048};
    const VisionShape vision = {
        .width = 1024, .ffn = 4096, .layers = 12, .heads = 16, .image_size = 336, .patch_size = 14};
    return {.copy_bytes = int64_t{1} << 30,
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
            .step = {.model = vila_config(vision, llm), .sequences = 8, .text_tokens = 1472},
            .decoder = llama_config(llm),
            .context = 640,
            .tokens = 64};
}

GpuBenchSizes small_gpu_bench_sizes() {
    const LlamaShape llm = {.vocabulary = 50,
                            .width = 32,
                            .ffn = 48,
                            .layers = 2,
                            .heads = 2,
                            .head_dim = 16,
                            .positions = 64};
    const VisionShape vision = {
        .width = 32, .ffn = 64, .layers = 1, .heads = 2, .image_size = 28, .patch_size = 14};
    return {.copy_bytes = 1 << 16,
            .ceiling = 64,
            .sample_seconds = 0.0,
            .layers = {{9, 16, 24}},
            .attention = {{"packed, D 16", {7, 20}, {7, 20}, 4, 2, 16, true}},
            .norm_rows = 5,
            .norm_width = 40,
            .step = {.model = vila_config(vision, llm), .sequences = 2, .text_tokens = 6},
            .decoder = llama_config(llm),
            .context = 10,
            .tokens = 4};
}

}  // namespace vila::tools
