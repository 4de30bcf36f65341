#pragma once

// Builds the model configurations of the benchmarks from a few sizes, and counts the bytes that
// decoding a token reads.

#include <vector>

#include "models/vila.h"

namespace vila::tools {

struct LlamaShape {
    int64_t vocabulary, width, ffn, layers;
    int64_t heads, head_dim;  // query and key/value heads are equal in number
    int64_t positions;
};

struct VisionShape {
    int64_t width, ffn, layers, heads;
    int64_t image_size, patch_size;  // pixels
};

models::LlamaConfig llama_config(const LlamaShape& shape);
// A SigLIP tower, which has no class token.
models::VisionConfig vision_config(const VisionShape& shape);
// The projector is a two-layer MLP and reads the tower's last hidden state.
models::VilaConfig vila_config(const VisionShape& vision, const LlamaShape& llm);

// Bytes of the cached keys and values of `positions` positions, in all layers.
int64_t cache_bytes(const models::LlamaConfig& config, int64_t positions, DType dtype);
// Returns the bytes of weights that decoding a token reads: all weights, but of the embedding table
// only one row. A tied table is also the head, so all of it is read.
int64_t weight_bytes_per_token(const models::VilaModel& model);
// Returns the matrices of the language model that decoding a token reads in full.
std::vector<Tensor> decoded_matrices(const models::VilaModel& model);

}  // namespace vila::tools
