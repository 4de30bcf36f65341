#pragma once

// The training loop: next batch, gradients, norm, clipping, update, log, checkpoint. The stage
// decides how a batch becomes a loss; nothing here depends on the kind of stage.
//
// All ranks of a job run the loop in step. Besides gradients and weights they exchange two small
// messages per step: a header before the gradients (counts of micro-batches, tokens and targets)
// and the step totals after them (losses, squares of the norm, stop signals, state of a background
// save). Every decision follows from these sums, which have the same bits on all ranks. Only rank 0
// prints and writes the log.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/loader/loader.h"
#include "dist/watchdog.h"
#include "nn/schedule.h"
#include "tools/base/progress.h"
#include "tools/train/checkpoint.h"
#include "tools/train/recipe.h"
#include "tools/train/run_log.h"
#include "tools/train/stage.h"
#include "tools/train/step_log.h"
#include "tools/train/stop_signals.h"
#include "tools/train/training_state.h"

namespace vila::tools {

// The run stops after this many failed saves in a row.
constexpr int64_t kMaxSaveFailures = 3;

// The objects that the loop works with; they must outlive it.
struct TrainLoopParts {
    const Recipe& recipe;
    dist::Collectives& ranks;
    dist::Watchdog* watchdog;  // null in a job of one rank
    Stage& stage;
    TrainingState& state;
    data::Loader& loader;
    CheckpointStore& checkpoints;
    RunLog* log;  // null except on rank 0
    Progress& progress;
    const StopSignals& stop;
    const nn::Schedule& schedule;  // factor of the learning rates, peak 1
    const Json& facts;             // saved in every checkpoint and compared on resuming
    double peak_flops;             // of all ranks, per second; 0: not measured
};

class TrainLoop {
  public:
    // Continues after `finished_steps` steps, whose checkpoint is saved already (or which are 0).
    TrainLoop(const TrainLoopParts& parts, int64_t finished_steps);

    // Runs to the last step of the schedule and saves there. Returns 0, or the signal that stopped
    // it earlier, after saving. Throws when too many steps in a row had a loss or gradient that is
    // not finite, or too many saves in a row failed.
    int run();
    int64_t step() const { return step_; }  // finished steps

  private:
    void train_one_step();
    // Returns this rank's batch and sets the counts of `totals`.
    data::StepBatch next_batch(StepTotals& totals);
    // Sums loss, norm and flops over all ranks, and sets signal_ and all_written_.
    void reduce_totals(const StepResult& result, StepTotals& totals);
    // Updates the weights unless loss or norm is not finite; returns whether it did.
    bool update(const StepTotals& totals, double schedule_now);
    void write_log(const data::StepBatch& batch, const StepTotals& totals, double lr, bool updated,
                   const StepCosts& costs);
    void check_bad_steps(const data::StepBatch& batch) const;

    // Saves unless this step is saved already; returns false if that failed. `in_background`
    // (train.async_save) writes while the next steps run.
    bool save(bool in_background);
    // Finishes a background save if there is one: after waiting for it with `wait`, otherwise only
    // if all ranks have written their files. Returns false if the save failed.
    bool finish_background_save(bool wait);
    // Calls `save` and records its outcome; returns false if it failed, throws after
    // kMaxSaveFailures failures in a row.
    bool record_save(const std::function<void()>& save, int64_t step);

    // Tells the watchdog that a phase begins which may take `limit` seconds.
    void begin_phase(const char* name, double limit);
    // train.step_limit, or a multiple of the median of recent steps, in seconds.
    double step_limit() const;

    TrainLoopParts parts_;
    int64_t step_ = 0;                  // finished steps
    int64_t saved_step_ = 0;            // step of the newest checkpoint
    int64_t pending_step_ = 0;          // step of the background save
    std::vector<double> step_seconds_;  // of the most recent steps
    int64_t save_failures_ = 0;         // in a row
    int signal_ = 0;                    // a stop signal that some rank received, or 0
    bool all_written_ = false;          // all ranks have written their files of the background save
};

}  // namespace vila::tools
