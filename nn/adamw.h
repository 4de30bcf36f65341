#pragma once

// AdamW (Loshchilov and Hutter 2019) over a list of parameters, with f32 master weights and
// moments beside parameters of any compute dtype.
//
// A training step: backward() as often as there are micro-batches (gradients add up), then
// gradient_norm(), step(), clear_gradients(). The state of one parameter is complete without the
// parameter: restore() sets parameters from their masters.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/parameter.h"
#include "tensor/kernels.h"

namespace vila::nn {

struct AdamwOptions {
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0.0;  // only where Parameter::decay

    // The arguments of the kernel `adamw` that are the same at every step of a parameter.
    AdamwUpdate update_of(const Parameter& parameter) const;
};

class Adamw {
  public:
    // Parameters that take no gradient are left out; the rest must be f32 or bf16 and have names
    // of their own. The pointers must stay valid.
    Adamw(const std::vector<Parameter*>& parameters, const AdamwOptions& options);

    // One update of every parameter: gradients are multiplied by `grad_scale` first (for clipping).
    // A parameter that no gradient reached counts as one with a gradient of zeros, so that ranks
    // whose samples had no image do as the others do.
    void step(double lr, double grad_scale = 1.0);
    int64_t steps_done() const { return steps_done_; }
    void clear_gradients();

    const std::vector<Parameter*>& parameters() const { return parameters_; }

    // "master/NAME", "exp_avg/NAME", "exp_avg_sq/NAME" of every parameter, f32; views of the live
    // state; moments are zeros before the first step.
    std::vector<std::pair<std::string, Tensor>> state();
    // Puts back what state() gave after `steps_done` steps; `tensor(name)` must return each f32
    // tensor of that name. Parameters become their masters, rounded.
    void restore(int64_t steps_done, const std::function<Tensor(const std::string& name)>& tensor);

  private:
    struct Slot {
        Tensor master, exp_avg, exp_avg_sq;
    };
    // The state of parameter i, made on the first call.
    Slot& slot(size_t i);

    std::vector<Parameter*> parameters_;
    std::vector<Slot> slots_;
    AdamwOptions options_;
    int64_t steps_done_ = 0;
};

// sum of |gradient|^2 over the parameters that have one, in f64, in the order of the list.
double gradient_sum_of_squares(const std::vector<Parameter*>& parameters);
// Its root: the global gradient norm.
double gradient_norm(const std::vector<Parameter*>& parameters);
// What to multiply gradients by so that a norm above `clip_norm` becomes clip_norm; 1 when
// clip_norm is 0 (off).
double clip_scale(double norm, double clip_norm);

}  // namespace vila::nn
