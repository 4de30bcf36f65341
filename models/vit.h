#pragma once

// The vision tower: a ViT (Dosovitskiy et al. 2021) as in CLIP (Radford et al. 2021) and SigLIP
// (Zhai et al. 2023). CLIP prepends a class token and normalizes before the first block. SigLIP has
// no class token, and a bias in the patch embedding.

#include <optional>
#include <vector>

#include "models/config.h"
#include "nn/block_hook.h"
#include "nn/encoder_block.h"
#include "nn/norm.h"

namespace vila::models {

class Vit {
  public:
    // Declares all weights in `table` under "vision_model.".
    Vit(const VisionConfig& config, nn::ParameterTable& table);
    Vit(const Vit&) = delete;
    Vit& operator=(const Vit&) = delete;

    const VisionConfig& config() const { return config_; }
    // The number of blocks that compute hidden state `index`: 0 is the input of the first block,
    // -1 or L the output of the last, -2 that of the last but one. Throws if out of range.
    int64_t blocks_for(int64_t index) const;
    // Pixels (B, 3, image_size, image_size) in the weights' dtype -> hidden state `index`
    // (B * num_positions, C), without the final norm. With `checkpointing`, backward runs each
    // block again instead of keeping its activations.
    autograd::Variable hidden_state(const Tensor& pixels, int64_t index, bool checkpointing) const;
    // The final norm, for contrastive training: (R, C) -> (R, C).
    autograd::Variable post_layernorm(const autograd::Variable& x) const;
    // Makes the weights that hidden state `index` does not depend on untrainable.
    void freeze_after(int64_t index);

    // Called before and after every use of a block's weights, if set.
    nn::BlockHook* block_hook = nullptr;

  private:
    autograd::Variable embed(const Tensor& pixels) const;

    VisionConfig config_;
    nn::Parameter* class_embedding_ = nullptr;  // CLIP only; owned by the table, as are the next
    nn::Parameter* patch_weight_;
    nn::Parameter* patch_bias_ = nullptr;  // SigLIP only
    nn::Parameter* position_embedding_;
    std::optional<nn::LayerNorm> pre_layrnorm_;  // CLIP only; misspelled in every file
    std::vector<nn::EncoderBlock> layers_;
    nn::LayerNorm post_layernorm_;
    nn::ParameterTable& table_;
};

}  // namespace vila::models
