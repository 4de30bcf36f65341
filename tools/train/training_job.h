#pragma once

// TrainingJob: one rank's part of a training run, from opening the data to saving the finished
// model. run() calls the phases in order. All ranks call every phase together; a phase that fails
// on one rank throws on all of them (dist/agree.h).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "data/loader/loader.h"
#include "dist/file_ranks.h"
#include "dist/watchdog.h"
#include "tools/base/progress.h"
#include "tools/train/checkpoint.h"
#include "tools/train/recipe.h"
#include "tools/train/run_directory.h"
#include "tools/train/run_log.h"
#include "tools/train/stage.h"
#include "tools/train/stop_signals.h"
#include "tools/train/train_loop.h"
#include "tools/train/training_data.h"
#include "tools/train/training_state.h"

namespace vila::tools {

class TrainingJob {
  public:
    // The arguments must outlive the job.
    TrainingJob(const Recipe& recipe, const RunDirectory& run, dist::Collectives& ranks,
                dist::Watchdog& watchdog, Device& device);

    // Trains from the newest checkpoint, or from the start, and saves the model. Returns 0 when the
    // run is finished, or the exit code for the signal that stopped it on a GPU; on a CPU a signal
    // saves through `files` and ends the program. Throws if the disk is too small for the
    // checkpoints and `checks_disk_space` is set.
    int run(StopSignals& stop, dist::FileRanks& files, bool checks_disk_space);

  private:
    void open_data();
    // Finds or trains the tokenizer: rank 0 first, then the other ranks, which find its files.
    void open_tokenizer();
    // Makes the stage and its model, and checks that all ranks have the same data and weights.
    void make_model();
    void make_state();
    // Loads the newest good checkpoint, if there is one.
    void resume();
    void check_disk_space() const;
    // Makes the log, the progress line and the loader, and prints a summary of the run.
    void prepare_loop();
    TrainLoopOptions loop_options() const;
    // Runs the training loop; returns the signal that stopped it, or 0.
    int train(StopSignals& stop, dist::FileRanks& files);
    void save_model();

    void announce() const;
    // Tells the watchdog that a phase of the set-up begins.
    void begin_phase(const char* name);
    bool is_first() const { return ranks_.rank() == 0; }
    // Runs `body`. If memory runs out, adds the memory that the recipe needs to the message.
    void explain_out_of_memory(const std::function<void()>& body) const;

    const Recipe& recipe_;
    const RunDirectory& run_;
    dist::Collectives& ranks_;
    dist::Watchdog& watchdog_;
    Device& device_;
    std::function<void(const std::string& line)> warn_;  // prints to stderr, on rank 0 only

    Datasets datasets_;
    std::filesystem::path tokenizer_;  // directory
    std::unique_ptr<Stage> stage_;
    Json facts_;  // see run_facts.h
    std::unique_ptr<TrainingState> state_;
    CheckpointStore checkpoints_;
    int64_t step_ = 0;           // finished steps
    int64_t total_steps_ = 0;    // of the whole run
    double peak_flops_ = 0.0;    // operations per second, sum over all ranks; 0: not measured
    std::optional<RunLog> log_;  // on rank 0 only
    std::optional<Progress> progress_;
    std::optional<data::Loader> loader_;
};

}  // namespace vila::tools
