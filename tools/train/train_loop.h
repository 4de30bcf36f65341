#pragma once

// The training loop: next batch, gradients, norm, clipping, update, log, checkpoint. The stage
// decides how a batch becomes a loss; nothing here depends on the kind of stage.
//
// All ranks of a job run the loop in lockstep. Besides gradients and weights they exchange two
// small messages per step: before the gradients their counts of micro-batches, tokens and targets
// (and bad records, if a rank met any), and afterwards the step totals (losses, squared gradient
// norm, received stop signals, whether a background save is written). All ranks get the same sums,
// bit for bit, and therefore make the same decisions. Only rank 0 prints and writes the log.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/loader/loader.h"
#include "dist/watchdog.h"
#include "nn/schedule.h"
#include "tools/base/progress.h"
#include "tools/train/checkpoint.h"
#include "tools/train/run_log.h"
#include "tools/train/stage.h"
#include "tools/train/step_log.h"
#include "tools/train/stop_save.h"
#include "tools/train/training_state.h"

namespace vila::tools {

// The run stops after this many failed saves in a row.
constexpr int64_t kMaxSaveFailures = 3;

struct TrainLoopOptions {
    nn::Schedule schedule;      // its peak is 1; each learning rate is multiplied by it
    double lr = 0.0;            // at the peak, for the log
    double clip_norm = 0.0;     // largest norm of the gradients; 0: not clipped
    int64_t save_every = 1;     // steps between checkpoints
    bool async_save = false;    // write checkpoints while the next steps run
    int64_t max_bad_steps = 1;  // steps in a row with a loss or gradient that is not finite
    double step_limit = 0.0;    // seconds that a phase of a step may take; 0: see step_limit()
    double setup_limit = 0.0;   // seconds that a phase of the first step may take
    double save_limit = 0.0;    // seconds that saving may take
    std::vector<std::string> sources;  // names of the data sources, for the log
};

// The objects that the loop uses; they must outlive it.
struct TrainLoopParts {
    dist::Collectives& ranks;
    dist::Watchdog& watchdog;
    Stage& stage;
    TrainingState& state;
    data::Loader& loader;
    CheckpointStore& checkpoints;
    RunLog* log;  // null except on rank 0
    Progress& progress;
    StopSave& stop;
    const std::function<void()>& on_saved;  // called after each save
    const Json& facts;                      // saved in every checkpoint and compared on resuming
    double peak_flops;  // operations per second, sum over all ranks; 0: not measured
};

class TrainLoop {
  public:
    // Continues after `finished_steps` steps: 0, or the step of the checkpoint that was loaded.
    TrainLoop(const TrainLoopParts& parts, TrainLoopOptions options, int64_t finished_steps);

    // Runs to the last step of the schedule, saves and returns 0. After a stop signal on a GPU,
    // saves at the end of the step and returns the signal; on a CPU, see stop_save.h. Throws if the
    // loss or gradient was not finite in max_bad_steps steps in a row, if kMaxSaveFailures saves in
    // a row failed, or if the save after the last step or after a signal failed.
    int run();
    int64_t step() const { return step_; }  // finished steps

  private:
    void train_one_step();
    // Returns this rank's batch and sets the counts of `totals`. Throws on all ranks if too many
    // records are bad.
    data::StepBatch next_batch(StepTotals& totals);
    // Sums losses, squared norm and operations over all ranks, and sets signal_ and all_written_.
    void reduce_totals(const StepResult& result, StepTotals& totals);
    // Updates the weights and returns true, or returns false if loss or norm is not finite.
    bool update(const StepTotals& totals, double schedule_now);
    void write_log(const data::StepBatch& batch, const StepTotals& totals, double lr, bool updated,
                   const StepCosts& costs);
    void check_bad_steps(const data::StepBatch& batch) const;

    // Saves a checkpoint, unless this step has one; returns false if that failed. With
    // `in_background` (async_save) it is written while the next steps run.
    bool save(bool in_background);
    // Finishes the background save, if there is one. With `wait`, waits until it is written;
    // otherwise does nothing unless all ranks have written their files. Returns false if it failed.
    bool finish_background_save(bool wait);
    // Calls `save` and records its outcome; returns false if it failed, throws after
    // kMaxSaveFailures failures in a row.
    bool record_save(const std::function<void()>& save, int64_t step);

    // Says where the same command resumes after a save that failed.
    std::string resume_text() const;

    // Tells the watchdog that a phase begins which may take `limit` seconds.
    void begin_phase(const char* name, double limit);
    // The option step_limit if it is given, else a multiple of the median time of recent steps, or
    // setup_limit before the first step. In seconds; 0: no limit.
    double step_limit() const;
    // The limit of the phases that only compute: step_limit(), or 0 on a single rank without the
    // option.
    double compute_limit() const;

    TrainLoopParts parts_;
    TrainLoopOptions options_;
    int64_t step_ = 0;                  // finished steps
    int64_t saved_step_ = 0;            // step of the newest checkpoint
    int64_t pending_step_ = 0;          // step of the background save
    std::vector<double> step_seconds_;  // durations of the most recent steps
    int64_t save_failures_ = 0;         // in a row
    int signal_ = 0;                    // a stop signal that some rank received, or 0
    bool all_written_ = false;          // all ranks have written their files of the background save
};

}  // namespace vila::tools
