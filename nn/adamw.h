#pragma once

// AdamW (Loshchilov and Hutter 2019) for a list of parameters in f32 or bf16, with master weights
// and moments in f32.
//
// A training step calls backward() for each micro-batch (gradients accumulate), then
// gradient_norm(), step() and clear_gradients(). The state alone determines the parameters:
// restore() sets them from their masters.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/parameter.h"
#include "tensor/adamw_options.h"

namespace vila::nn {

class Adamw {
  public:
    // Skips parameters that are not trainable. The others must be f32 or bf16 and have different
    // names. The pointers must stay valid.
    Adamw(const std::vector<Parameter*>& parameters, const AdamwOptions& options);

    // Updates every parameter. Gradients are multiplied by `grad_scale` first (for clipping). A
    // missing gradient counts as zeros, so that ranks whose samples had no image make the same
    // update as the others.
    void step(double lr, double grad_scale = 1.0);
    int64_t steps_done() const { return steps_done_; }
    void clear_gradients();

    const std::vector<Parameter*>& parameters() const { return parameters_; }

    // The tensors "master/NAME", "exp_avg/NAME" and "exp_avg_sq/NAME" of every parameter, f32:
    // views of the live state. Moments are zeros before the first step.
    std::vector<std::pair<std::string, Tensor>> state();
    // Restores the state() of `steps_done` steps. `tensor(name)` must return the saved f32 tensor
    // of that name. Sets the parameters to their masters, rounded. Throws if a shape or dtype
    // differs.
    void restore(int64_t steps_done, const std::function<Tensor(const std::string& name)>& tensor);

  private:
    struct Slot {
        Tensor master, exp_avg, exp_avg_sq;
    };
    // The state of parameter i, allocated on the first call.
    Slot& slot(size_t i);

    std::vector<Parameter*> parameters_;
    std::vector<Slot> slots_;
    AdamwOptions options_;
    int64_t steps_done_ = 0;
};

// The sum of the squares of all gradients, in f64, in the order of the list. Skips parameters
// without a gradient.
double gradient_sum_of_squares(const std::vector<Parameter*>& parameters);
// The global gradient norm: the square root of gradient_sum_of_squares().
double gradient_norm(const std::vector<Parameter*>& parameters);
// The factor that reduces a gradient norm above `clip_norm` to clip_norm; otherwise 1. A clip_norm
// of 0 turns clipping off.
double clip_scale(double norm, double clip_norm);

}  // namespace vila::nn
