#pragma once

// The training loop: next batch, gradients, norm, clip, update, log, save. What a batch is and what
// a loss is belongs to the stage; kernels and recipes are out of sight here.

#include <cstdint>
#include <functional>
#include <string>

#include "data/loader.h"
#include "nn/schedule.h"
#include "tools/checkpoint.h"
#include "tools/progress.h"
#include "tools/recipe.h"
#include "tools/run_log.h"
#include "tools/stage.h"
#include "tools/stop_signals.h"
#include "tools/training_state.h"

namespace vila::tools {

// Consecutive saves that may fail before the run stops.
constexpr int64_t kMaxSaveFailures = 3;

struct TrainLoop {
    const Recipe& recipe;
    Stage& stage;
    TrainingState& state;
    data::Loader& loader;
    CheckpointStore& checkpoints;
    RunLog& log;
    Progress& progress;
    const StopSignals& stop;
    const nn::Schedule& schedule;  // with a peak of 1
    Json facts;                    // what a checkpoint must agree with, saved beside the counters
    double peak_flops = 0.0;       // of the machine, per second; 0: not measured

    int64_t step = 0;  // steps that are done
    int64_t saved_step = 0;
    int64_t save_failures = 0;  // since the last one that succeeded

    // Runs to the last step of the schedule and saves there. Returns the signal that stopped it
    // earlier, after saving, or 0. Throws when too many steps in a row had no finite loss, or too
    // many saves failed.
    int run();

    // The parts of run(), in the order of a step.
    void train_one_step();
    // Whether the update was applied.
    bool update(const StepResult& result, double norm, double schedule_now);
    void write_log(const data::StepBatch& batch, const StepResult& result, double norm, double lr,
                   bool applied, double seconds);
    // Saves unless the newest checkpoint is this step's already. False when it failed.
    bool save();
    void stop_if_hopeless(const data::StepBatch& batch) const;
};

}  // namespace vila::tools
