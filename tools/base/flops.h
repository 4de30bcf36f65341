#pragma once

// Counts the floating-point operations of a training step or a prompt, to report which share of the
// machine's peak they reach. The peak is that of f32 multiply-adds (machine_limits.h), for every
// dtype.
//
// A product with a matrix of W values costs 2 W operations per row: once in forward, and in
// backward once for the gradient of the input and once for that of the matrix, if each is needed.
// Attention costs 4 H D for each pair of positions that see each other (scores and weighted sum),
// and twice that in backward. The head counts only at positions with a loss. Norms, activations,
// the optimizer and the recomputation of activation checkpointing are not counted.

#include <cstdint>
#include <vector>

#include "models/vila.h"

namespace vila::tools {

struct StepWork {
    std::vector<int64_t> lengths;  // positions of each sequence, with images expanded
    int64_t targets = 0;           // positions with a loss
    int64_t image_tokens = 0;      // positions of images, which the projector computes
    int64_t encoded_tiles = 0;     // tiles that pass through the vision tower
};

// Counts the values of a model's matrices once, so that counting a step is cheap.
class FlopCounter {
  public:
    FlopCounter(const models::VilaModel& model, const models::Trainable& trainable);
    // A training step.
    double step(const StepWork& work) const;
    // Forward only, as in prefill.
    double forward(const StepWork& work) const;

  private:
    // How often the products of each part are computed.
    struct Passes {
        double llm, attention, projector, vision;
    };
    double count(const StepWork& work, const Passes& passes) const;

    models::VilaConfig config_;
    models::Trainable trainable_;
    // Matrix values of each part.
    double llm_matrices_ = 0.0, projector_matrices_ = 0.0, vision_matrices_ = 0.0;
};

// Returns the number of values in the matrices that every row is multiplied by: all matrices except
// embeddings and `lm_head`.
double matrix_values(const nn::ParameterTable& table);

}  // namespace vila::tools
