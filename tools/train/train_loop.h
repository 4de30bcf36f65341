#pragma once

// The training loop: next batch, gradients, norm, clip, update, log, save. What a batch is and what
// a loss is belongs to the stage; kernels and recipes are out of sight here.
//
// All ranks of a job run it together. Beside gradients and weights they exchange two small messages
// a step: before the gradients how many micro-batches and targets there are, after them a vote:
// losses, norm, who was asked to stop, whose part of a checkpoint is written. What is decided is
// decided from these sums, which are the same bits everywhere. Rank 0 alone prints and logs.

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
#include "tools/train/stop_signals.h"
#include "tools/train/training_state.h"

namespace vila::tools {

// Consecutive saves that may fail before the run stops.
constexpr int64_t kMaxSaveFailures = 3;

// Of a step, over all ranks.
struct StepTotals {
    int64_t rounds = 0;  // the most micro-batches of a rank
    int64_t tokens = 0, targets = 0, truncated = 0, bad_samples = 0;
    double loss = 0.0, norm = 0.0;  // of the gradients, before clipping
    std::vector<double> sources;    // sums of losses
    std::vector<double> counts;     // of each source
    double flops = 0.0;
};

struct TrainLoop {
    const Recipe& recipe;
    dist::Collectives& ranks;
    dist::Watchdog* watchdog;  // of several ranks
    Stage& stage;
    TrainingState& state;
    data::Loader& loader;
    CheckpointStore& checkpoints;
    RunLog* log;  // on rank 0
    Progress& progress;
    const StopSignals& stop;
    const nn::Schedule& schedule;  // with a peak of 1
    Json facts;                    // what a checkpoint must agree with, saved beside the counters
    double peak_flops = 0.0;       // of all ranks, per second; 0: not measured

    int64_t step = 0;  // steps that are done
    int64_t saved_step = 0;
    int64_t saving_step = 0;
    std::vector<double> step_seconds = {};  // of the last steps
    int64_t save_failures = 0;              // since the last one that succeeded
    int signal = 0;                         // that asked some rank to stop
    bool all_written = false;               // the checkpoint that is being saved, on all ranks

    // Runs to the last step of the schedule and saves there. Returns the signal that stopped it
    // earlier, after saving, or 0. Throws when too many steps in a row had no finite loss, or too
    // many saves failed.
    int run();

    // The parts of run(), in the order of a step.
    void train_one_step();
    // This rank's next batch, and what there is on all ranks.
    data::StepBatch next_batch(StepTotals& totals);
    void vote(const StepResult& result, StepTotals& totals);
    // Whether the update was applied.
    bool update(const StepTotals& totals, double schedule_now);
    void write_log(const data::StepBatch& batch, const StepTotals& totals, double lr, bool applied,
                   double seconds, const dist::Traffic& traffic);
    // Saves unless the newest checkpoint is this step's already. False when it failed. With
    // `in_background` (train.async_save) the save goes on beside the next steps.
    bool save(bool in_background);
    // Ends a save that runs in the background, at once or if all ranks had written it when they
    // voted. False when it failed.
    bool end_save(bool at_once);
    bool note_save(const std::function<void()>& save, int64_t of_step);
    // A phase begins, of which the watchdog should know.
    void phase(const char* name, double limit);
    double step_limit() const;
    void stop_if_hopeless(const data::StepBatch& batch) const;
};

}  // namespace vila::tools
