#pragma once

// Model configurations of the benchmarks, each from a few sizes, and the size of their cache.

#include "models/config.h"
#include "tensor/dtype.h"

namespace vila::tools {

struct LlamaShape {
    int64_t vocabulary, width, ffn, layers;
    int64_t heads, head_dim;  // as many key heads as query heads
    int64_t positions;
};

struct VisionShape {
    int64_t width, ffn, layers, heads;
    int64_t image_size, patch_size;  // pixels
};

models::LlamaConfig llama_config(const LlamaShape& shape);
// A SigLIP tower, which has no class token.
models::VisionConfig vision_config(const VisionShape& shape);
// The tower's last hidden state, a two-layer MLP projector, and the language model.
models::VilaConfig vila_config(const VisionShape& vision, const LlamaShape& llm);

// Bytes of the keys and values of `positions` positions.
int64_t cache_bytes(const models::LlamaConfig& config, int64_t positions, DType dtype);

}  // namespace vila::tools
