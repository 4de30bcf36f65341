#pragma once

// The joined model (Lin et al. 2023, VILA). The vision tower and the projector turn images into
// tokens, which are spliced between the text embeddings; the language model reads the whole
// sequence. Without vision tower and projector it is a plain language model.
//
//     pixels -> Vit -> Projector --+
//                                  splice -> Llama -> loss or logits
//     ids -> embedding ------------+

#include <array>
#include <memory>
#include <vector>

#include "models/batch.h"
#include "models/llama.h"
#include "models/projector.h"
#include "models/vit.h"

namespace vila::models {

// The parts that are trained.
struct Trainable {
    bool llm = false;
    bool projector = false;
    bool vision_tower = false;
};

class VilaModel {
  public:
    // Weights have no values yet: call initialize() or load them (models/model_directory.h).
    // Throws when the parts of `config` do not fit together.
    VilaModel(const VilaConfig& config, Device& device, DType dtype);
    VilaModel(const VilaModel&) = delete;
    VilaModel& operator=(const VilaModel&) = delete;

    const VilaConfig& config() const { return config_; }
    Device& device() const { return device_; }
    DType dtype() const { return dtype_; }
    bool has_vision() const { return vit_ != nullptr; }
    Llama& llm() { return *llm_; }
    const Llama& llm() const { return *llm_; }

    // The weights of each part. The tables of parts that the model lacks are empty.
    nn::ParameterTable& llm_table() { return llm_table_; }
    nn::ParameterTable& vision_table() { return vision_table_; }
    nn::ParameterTable& projector_table() { return projector_table_; }
    const nn::ParameterTable& llm_table() const { return llm_table_; }
    const nn::ParameterTable& vision_table() const { return vision_table_; }
    const nn::ParameterTable& projector_table() const { return projector_table_; }
    // All three, in the order in which data flows: vision tower, projector, language model.
    std::array<nn::ParameterTable*, 3> tables() {
        return {&vision_table_, &projector_table_, &llm_table_};
    }

    // Give all weights, or those of one part, new values, which depend only on the seed and on the
    // names of the weights.
    void initialize(uint64_t seed);
    void initialize_llm(uint64_t seed);
    void initialize_vision_tower(uint64_t seed);
    void initialize_projector(uint64_t seed);

    // Selects the parts that are trained. Blocks of the tower after the selected layer never are.
    void set_trainable(const Trainable& trainable);
    // Selects the weights that are trained by patterns of their names (nn/name_pattern.h), which
    // begin with the part: "llm.*.q_proj.weight", "vision_tower.*layer_norm*", "mm_projector.*".
    // Throws if a pattern matches no weight.
    void set_trainable(std::span<const std::string> patterns);
    // The parts of which at least one weight is trained.
    Trainable trainable_parts() const;
    // All trainable weights, in the order of tables(), and of their declaration within each.
    std::vector<nn::Parameter*> trainable_parameters();

    // Calls `hook` before and after every use of a block's weights. nullptr removes the hook.
    void set_block_hook(nn::BlockHook* hook);
    // If enabled, activations inside blocks are not kept, and backward computes them again: less
    // memory, more time, the same bits. Off by default.
    void set_activation_checkpointing(bool enabled) { activation_checkpointing_ = enabled; }

    // Pixels (tiles, 3, height, width) of any floating dtype -> the projector's input
    // (tiles * tile_features, Cv). models/image_layout.h says how many tiles an image has.
    autograd::Variable image_features(const Tensor& pixels) const;
    // Features (tiles * tile_features, Cv) -> image tokens (tiles * tile_tokens, C).
    autograd::Variable project(const autograd::Variable& features) const;
    // Text embeddings with the image tokens in their rows: (R, C). Throws when a sequence is longer
    // than the model's positions.
    autograd::Variable embed(const Batch& batch) const;

    // The sum of the cross-entropy over the batch's targets, times loss_scale: shape (1). Pass 1 /
    // (number of targets in the whole global batch) for a mean. `row_losses`, if given, receives
    // the unscaled losses (M) in the order of batch.targets. A batch without targets gives 0.
    autograd::Variable loss(const Batch& batch, double loss_scale,
                            Tensor* row_losses = nullptr) const;
    // The logits (R, V) of every row, in the model's dtype. Records no gradient.
    Tensor logits(const Batch& batch) const;

  private:
    VilaConfig config_;
    Device& device_;
    DType dtype_;
    nn::ParameterTable llm_table_, vision_table_, projector_table_;
    std::unique_ptr<Vit> vit_;
    std::unique_ptr<Projector> projector_;
    std::unique_ptr<Llama> llm_;
    bool activation_checkpointing_ = false;
};

}  // namespace vila::models
