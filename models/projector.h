#pragma once

// The projector: vision features to language embeddings, in four kinds (ProjectorConfig::Kind).
//
// Weights, under the names of VILA-1.5 where it has the kind:
//   linear          layers.{weight,bias}
//   mlp2x_gelu      layers.0, layers.2
//   mlp_downsample  layers.1 (LayerNorm of 4 Cv), layers.2, layers.4
//   transformer     layers.0 (Cv -> C), layers.1.{layer_norm1, self_attn.*, layer_norm2, mlp.*}
//                   (a block as in the vision tower, intermediate 4C, GELU), layers.2 (LayerNorm),
//                   layers.3 (C -> C); the ablation of the paper's section 3.1

#include <optional>

#include "models/config.h"
#include "nn/encoder_block.h"

namespace vila::models {

class Projector {
  public:
    Projector(const ProjectorConfig& config, nn::ParameterTable& table);
    Projector(const Projector&) = delete;
    Projector& operator=(const Projector&) = delete;

    const ProjectorConfig& config() const { return config_; }
    // Features (I * N, Cv) of I images -> embeddings (I * N', C).
    autograd::Variable operator()(const autograd::Variable& features, int64_t images) const;

  private:
    ProjectorConfig config_;
    std::optional<nn::LayerNorm> input_norm_;   // mlp_downsample
    std::optional<nn::Linear> input_;           // all kinds
    std::optional<nn::EncoderBlock> block_;     // transformer
    std::optional<nn::LayerNorm> output_norm_;  // transformer
    std::optional<nn::Linear> output_;          // all but linear
};

}  // namespace vila::models
