#pragma once

// A small model whose images take different numbers of tokens.

#include "models/config.h"

namespace vila::models {

// The configuration of a model with image tiles of `side` x `side` pixels, at most `max_tiles` of
// them: vocabulary 50, L = 1, C = 8, H = K = 2, D = 4; Cv = 6 in one block of the tower.
inline VilaConfig small_tiled_config(int64_t side, int64_t max_tiles) {
    VilaConfig config;
    config.llm.vocab_size = 50;
    config.llm.hidden_size = 8;
    config.llm.intermediate_size = 12;
    config.llm.num_hidden_layers = 1;
    config.llm.num_attention_heads = 2;
    config.llm.num_key_value_heads = 2;
    config.llm.head_dim = 4;
    config.llm.max_position_embeddings = 128;
    config.vision.emplace();
    config.vision->hidden_size = 6;
    config.vision->intermediate_size = 10;
    config.vision->num_hidden_layers = 1;
    config.vision->num_attention_heads = 2;
    config.vision->image_size = side;
    config.vision->patch_size = 4;
    config.select_layer = -1;
    config.max_tiles = max_tiles;
    return config;
}

}  // namespace vila::models
