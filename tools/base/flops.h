#pragma once

// Floating-point operations of a training step or a prompt, to say which share of the machine's
// peak it used. The peak is that of f32 multiply-adds (machine_limits.h), whatever the dtype of the
// run.
//
// A product with a matrix of W values costs 2 W a row: forward once, backward once for the gradient
// of its input and once for that of the matrix, each where it is needed. Attention over T positions
// costs 4 H D operations for each pair of positions that see each other (scores and weighted sum),
// backward twice that. The head counts for loss-bearing positions only. Norms, activations and the
// optimizer are left out, and so is what activation checkpointing runs again.

#include <cstdint>
#include <vector>

#include "models/vila.h"

namespace vila::tools {

struct StepWork {
    std::vector<int64_t> lengths;  // positions of each sequence, images spliced
    int64_t targets = 0;           // loss-bearing positions
    int64_t images = 0;            // that went through the projector
    int64_t encoded_images = 0;    // that went through the vision tower
};

// Work done once for a model, so that a step is a few products.
class FlopCounter {
  public:
    FlopCounter(const models::VilaModel& model, const models::Trainable& trainable);
    double step(const StepWork& work) const;
    // Forward only, as prefill does it.
    double forward(const StepWork& work) const;

  private:
    // How often each part's products are made; an image's tower and projector with it.
    struct Passes {
        double llm, attention, projector, vision;
    };
    double count(const StepWork& work, const Passes& passes) const;

    models::VilaConfig config_;
    models::Trainable trainable_;
    double llm_matrices_ = 0.0, projector_matrices_ = 0.0, vision_matrices_ = 0.0;  // values
};

// Values in the matrices that a row passes through: all tables but the embeddings and `lm_head`.
double matrix_values(const nn::ParameterTable& table);

}  // namespace vila::tools
