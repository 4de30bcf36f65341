#pragma once

// Everything a run must remember between two steps beside the data: weights, moments, counters. The
// order of the data is a pure function of the step, so that step and state are the whole of it.

#include <cstdint>
#include <string>
#include <vector>

#include "nn/adamw.h"
#include "tools/checkpoint.h"
#include "tools/recipe.h"
#include "tools/stage.h"

namespace vila::tools {

class TrainingState {
  public:
    TrainingState(std::vector<ParameterGroup> groups, const OptimizerRecipe& recipe);

    // Global norm of all gradients, before clipping.
    double gradient_norm() const;
    // Each group learns at its own rate times `schedule`; gradients are multiplied by `grad_scale`.
    void update(double schedule, double grad_scale);
    void clear_gradients();

    // "llm/master/NAME", ...: f32 masters and moments, views of the live state.
    NamedTensors tensors();
    // What goes into a checkpoint beside the tensors.
    Json counters() const;
    void restore(const Checkpoint& checkpoint);

    int64_t parameters() const;  // that learn
    int64_t bytes() const;       // of a checkpoint's tensors

    int64_t bad_steps_in_row = 0;

  private:
    struct Group {
        std::string name;
        double lr;
        nn::Adamw optimizer;
    };
    std::vector<Group> groups_;
};

}  // namespace vila::tools
