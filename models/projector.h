#pragma once

// The projector: maps vision features to language embeddings. models/projector_config.cpp lists the
// layers of each kind of projector; this class runs them.
//
// Weights are named as in VILA-1.5, by the position of their layer in that list:
//   linear             layers.{weight,bias}: a single layer has no number
//   mlp2x_gelu         layers.0, layers.2
//   linear_downsample  layers.1 (4 Cv -> C); the ablation of table 7 of the VILA paper
//   mlp_downsample     layers.1 (LayerNorm of 4 Cv), layers.2, layers.4
//   transformer        layers.0 (Cv -> C), layers.1.{layer_norm1, self_attn.*, layer_norm2, mlp.*}
//                      (a block as in the vision tower, intermediate 4C, GELU), layers.2
//                      (LayerNorm), layers.3 (C -> C); the ablation of section 3.1 of the paper

#include <functional>
#include <vector>

#include "autograd/variable.h"
#include "models/config.h"
#include "nn/parameter.h"

namespace vila::models {

class Projector {
  public:
    // Maps rows, those of `images` images end to end, to the rows that the next layer reads.
    using Layer = std::function<autograd::Variable(const autograd::Variable& x, int64_t images)>;

    // Declares the weights of all layers in `table`. They have no values yet.
    Projector(const ProjectorConfig& config, nn::ParameterTable& table);
    Projector(const Projector&) = delete;
    Projector& operator=(const Projector&) = delete;

    const ProjectorConfig& config() const { return config_; }
    // Features (I * N, Cv) of I images -> embeddings (I * N', C).
    autograd::Variable operator()(const autograd::Variable& features, int64_t images) const;

  private:
    ProjectorConfig config_;
    std::vector<Layer> layers_;  // a GELU is fused into the linear layer before it
};

}  // namespace vila::models
