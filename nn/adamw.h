#pragma once

// AdamW (Loshchilov and Hutter 2019) for a list of parameters in f32 or bf16, with master weights
// and moments in f32.
//
// A training step calls backward() for each micro-batch (gradients accumulate), then
// gradient_norm(), step() and clear_gradients(). A checkpoint needs only the state of this class:
// restore() sets the parameters from their masters.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/parameter.h"
#include "tensor/adamw_options.h"

namespace vila::nn {

class Adamw {
  public:
    // Skips parameters that are not trainable. The others must be f32 or bf16, have distinct names
    // and outlive this object.
    Adamw(const std::vector<Parameter*>& parameters, const AdamwOptions& options);

    // Updates every parameter. Gradients are multiplied by `grad_scale` first (for clipping). A
    // parameter without a gradient is updated as if its gradient were zero, so that ranks whose
    // samples have no image make the same update as the others.
    void step(double lr, double grad_scale = 1.0);
    int64_t steps_done() const { return steps_done_; }
    void clear_gradients();

    const std::vector<Parameter*>& parameters() const { return parameters_; }

    // The tensors "master/NAME", "exp_avg/NAME" and "exp_avg_sq/NAME" of every parameter, f32. They
    // share memory with this object. Moments are zeros before the first step.
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

// The sum of the squares of all gradients, in f64, in the order of the list. Skips parameters that
// have no gradient.
double gradient_sum_of_squares(const std::vector<Parameter*>& parameters);
// The global gradient norm: the square root of gradient_sum_of_squares().
double gradient_norm(const std::vector<Parameter*>& parameters);
// The factor by which to multiply gradients of norm `norm` so that their norm is at most
// `clip_norm`: 1 if it already is. A clip_norm of 0 turns clipping off.
double clip_scale(double norm, double clip_norm);

}  // namespace vila::nn
