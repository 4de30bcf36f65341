#pragma once

// Everything a run must remember between two steps beside the data: weights, moments, counters. The
// order of the data is a pure function of the step, so that step and state are the whole of it.
//
// There are two: one process keeps its gradients where backward() leaves them and updates whole
// parameters; many ranks, or one that wants the bits of many, sum them in buckets (dist/).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dist/collectives.h"
#include "dist/exact_sum.h"
#include "tools/train/checkpoint.h"
#include "tools/train/recipe.h"
#include "tools/train/stage.h"

namespace vila::tools {

class TrainingState {
  public:
    virtual ~TrainingState() = default;

    // A step: begin_step(), then for every micro-batch a backward() and end_micro_batch(), then
    // gradient_squares() and update(). Ranks that have no micro-batch left call end_micro_batch()
    // all the same.
    virtual void begin_step() = 0;
    virtual void end_micro_batch() = 0;
    // What adds up over the ranks to the square of the global norm of all gradients, before
    // clipping.
    virtual dist::ExactSum gradient_squares() = 0;
    // Each group learns at its own rate times `schedule`; gradients are multiplied by `grad_scale`.
    virtual void update(double schedule, double grad_scale) = 0;

    // "llm/master/NAME", ...: f32 masters and moments, views of the live state; of many ranks,
    // this one's part.
    virtual std::vector<TensorPart> parts() = 0;
    void restore(const Checkpoint& checkpoint);
    // Before and after the model is read as a whole: where blocks are divided among the ranks,
    // those that want them get them. Every rank must call both.
    virtual void gather_weights(bool /*wanted*/) {}
    virtual void release_weights() {}
    // What goes into a checkpoint beside the tensors.
    Json counters() const;

    int64_t parameters() const { return parameters_; }  // that learn, on all ranks
    int64_t bytes() const;                              // of a checkpoint's tensors

    int64_t bad_steps_in_row = 0;

  protected:
    explicit TrainingState(const std::vector<ParameterGroup>& groups);
    virtual int64_t updates() const = 0;
    virtual void restore_tensors(int64_t updates, const Checkpoint& checkpoint) = 0;

  private:
    int64_t parameters_ = 0;
};

// One rank gets the first kind unless the recipe asks for train.rank_invariant. The stage must
// outlive the state.
std::unique_ptr<TrainingState> make_training_state(Stage& stage, const Recipe& recipe,
                                                   dist::Collectives& ranks);

}  // namespace vila::tools
