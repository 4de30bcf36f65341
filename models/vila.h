#pragma once

// The joined model (Lin et al. 2023, VILA): images go through the vision tower and the projector
// and take their places between text embeddings; the language model reads the whole. Without a
// vision part it is a plain language model.
//
//     pixels -> Vit -> Projector --+
//                                  splice -> Llama -> loss or logits
//     ids -> embedding ------------+

#include <memory>
#include <vector>

#include "models/batch.h"
#include "models/llama.h"
#include "models/projector.h"
#include "models/vit.h"

namespace vila::models {

// Which parts learn.
struct Trainable {
    bool llm = false;
    bool projector = false;
    bool vision_tower = false;
};

class VilaModel {
  public:
    // Weights have no values yet: initialise() or load them (models/model_directory.h).
    VilaModel(const VilaConfig& config, Device& device, DType dtype);
    VilaModel(const VilaModel&) = delete;
    VilaModel& operator=(const VilaModel&) = delete;

    const VilaConfig& config() const { return config_; }
    VilaConfig& config() { return config_; }
    Device& device() const { return device_; }
    DType dtype() const { return dtype_; }
    bool has_vision() const { return vit_ != nullptr; }
    const Llama& llm() const { return *llm_; }

    // The weights of the three parts; empty tables where there is no vision part.
    nn::ParameterTable& llm_table() { return llm_table_; }
    nn::ParameterTable& vision_table() { return vision_table_; }
    nn::ParameterTable& projector_table() { return projector_table_; }
    const nn::ParameterTable& llm_table() const { return llm_table_; }
    const nn::ParameterTable& vision_table() const { return vision_table_; }
    const nn::ParameterTable& projector_table() const { return projector_table_; }
    // New values, a pure function of the seed and the weights' names: of all parts or of one.
    void initialise(uint64_t seed);
    void initialise_llm(uint64_t seed);
    void initialise_vision_tower(uint64_t seed);
    void initialise_projector(uint64_t seed);
    // Which parts learn from now on. Tower blocks behind the selected layer never do.
    void set_trainable(const Trainable& trainable);
    // Every weight that learns: tower, projector, language model, each in order of declaration.
    std::vector<nn::Parameter*> trainable_parameters();

    // Who is told around every use of a block's weights; nullptr: nobody.
    void set_block_hook(nn::BlockHook* hook);

    // Runs each block again in backward instead of keeping its activations.
    bool activation_checkpointing = false;

    // Pixels (I, 3, height, width) of any floating dtype -> what the projector takes:
    // (I * features_per_image, Cv).
    autograd::Variable image_features(const Tensor& pixels) const;
    // Features (I * features_per_image, Cv) -> image tokens (I * tokens_per_image, C).
    autograd::Variable project(const autograd::Variable& features) const;
    // Text embeddings with the image tokens in their rows: (R, C).
    autograd::Variable embed(const Batch& batch) const;

    // Sum over the batch's targets of the cross-entropy, times loss_scale (1 / number of targets
    // of the whole global batch): shape (1). `row_losses` receives the unscaled losses (M), in the
    // order of batch.targets. A batch without targets gives 0.
    autograd::Variable loss(const Batch& batch, double loss_scale,
                            Tensor* row_losses = nullptr) const;
    // Logits of every row (R, V) in the model's dtype; records no gradient.
    Tensor logits(const Batch& batch) const;

  private:
    VilaConfig config_;
    Device& device_;
    DType dtype_;
    nn::ParameterTable llm_table_, vision_table_, projector_table_;
    std::unique_ptr<Vit> vit_;
    std::unique_ptr<Projector> projector_;
    std::unique_ptr<Llama> llm_;
};

}  // namespace vila::models
