#pragma once

// TrainingState: weights, optimizer moments and counters of a run. The order of the data is a pure
// function of the step, so step and state are all that a checkpoint needs.
//
// There are two kinds. In one process, gradients stay where backward() puts them, and the optimizer
// updates whole parameters. With several ranks, or with train.rank_invariant, gradients are summed
// in buckets (dist/).

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

    // A step: begin_step(), then backward() and end_micro_batch() for every micro-batch, then
    // gradient_squares() and update(). A rank with fewer micro-batches than others calls
    // end_micro_batch() for the missing ones too.
    virtual void begin_step() = 0;
    virtual void end_micro_batch() = 0;
    // Returns this rank's share of the square of the global gradient norm, before clipping. The
    // shares of all ranks add up to it.
    virtual dist::ExactSum gradient_squares() = 0;
    // Updates each group with its learning rate times `schedule`, and gradients times `grad_scale`.
    virtual void update(double schedule, double grad_scale) = 0;

    // Returns this rank's part of the f32 masters and moments ("llm/master/NAME", ...), as views of
    // the live state.
    virtual std::vector<TensorPart> parts() = 0;
    void restore(const Checkpoint& checkpoint);
    // Call before and after reading the whole model. If blocks are divided among ranks (ZeRO 3),
    // ranks with `wanted` receive all of them. Every rank must call both functions.
    virtual void gather_weights(bool /*wanted*/) {}
    virtual void release_weights() {}
    // Returns the counters, which are saved in the checkpoint's `info`.
    Json counters() const;

    int64_t parameters() const { return parameters_; }  // trainable ones, of the whole model
    int64_t bytes() const;                              // of the tensors of a checkpoint

    int64_t bad_steps_in_row = 0;

  protected:
    explicit TrainingState(const std::vector<ParameterGroup>& groups);
    virtual int64_t updates() const = 0;
    virtual void restore_tensors(int64_t updates, const Checkpoint& checkpoint) = 0;

  private:
    int64_t parameters_ = 0;
};

// Makes the first kind for one rank without train.rank_invariant, otherwise the second. The stage
// must outlive the state.
std::unique_ptr<TrainingState> make_training_state(Stage& stage, const Recipe& recipe,
                                                   dist::Collectives& ranks);

}  // namespace vila::tools
