#pragma once

// StopSave: saves the last finished step when a signal stops training, however long a step takes. A
// thread of its own saves the weights and moments while the training thread is still in forward or
// backward, which only read them; then it ends the program.
//
// The training thread changes the state between begin_update() and end_step(). After a signal
// begin_update() does not return, so the state stays as it is. All ranks must save the same step.
// begin_update() comes before the message in which the ranks add up their gradient norms, so if one
// rank has not begun the update of step n, no other rank can finish it, and if all have begun it,
// all finish it. The step to save is therefore the least of the numbers of updates that the ranks
// have begun. The ranks exchange these numbers, and save, through files (dist/file_ranks.h): their
// training threads may wait for each other inside MPI.
//
// On a GPU only the training thread can read the state. There a signal is only remembered, and
// TrainLoop saves at the end of the step.

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "dist/file_ranks.h"
#include "dist/watchdog.h"
#include "tools/train/checkpoint.h"
#include "tools/train/run_log.h"
#include "tools/train/stop_signals.h"
#include "tools/train/training_state.h"

namespace vila::tools {

// The objects that a StopSave uses; they must outlive it.
struct StopSaveParts {
    StopSignals& stop;
    dist::FileRanks& files;
    dist::Watchdog& watchdog;
    TrainingState& state;
    RunLog* log;                     // null except on rank 0
    std::function<void()> on_saved;  // called after a save, if there is one
    const Json& facts;               // saved in the checkpoint
    std::filesystem::path checkpoints;
    int64_t keep;             // checkpoints
    double limit;             // seconds of a save; 0: no limit
    bool on_training_thread;  // the state is on a GPU
};

// Ends the program after a signal without a save. First tells the other ranks that this one has
// begun `begun` updates.
void leave_unsaved(StopSignals& stop, dist::FileRanks& files, int64_t begun, int signal);

class StopSave {
  public:
    // From now on a signal saves and ends the program. Training continues after `step` finished
    // steps, all of them saved.
    StopSave(const StopSaveParts& parts, int64_t step);
    // From now on a signal ends the program without a save.
    ~StopSave();
    StopSave(const StopSave&) = delete;
    StopSave& operator=(const StopSave&) = delete;

    // Called by the training thread before the ranks add up the totals of a step. Does not return
    // after a signal.
    void begin_update();
    // Called after the step is logged and, if it is due, saved. `saved`: step of the newest
    // checkpoint.
    void end_step(int64_t step, int64_t saved);
    // The signal after which TrainLoop saves at the end of the step; 0 if there is none, and always
    // where the state is on a CPU.
    int signal() const;

  private:
    // Runs on the thread of the signal.
    void stop(int signal);
    // Returns the step to save, or -1 if the training thread has left the loop before that step,
    // because of an error that it reports itself.
    int64_t agree_on_step();
    void save(int64_t step);

    StopSaveParts parts_;
    std::vector<TensorPart> state_;  // views of the live state
    std::mutex mutex_;               // guards the members below
    std::condition_variable changed_;
    int64_t begun_, finished_, saved_;  // steps
    bool stopping_ = false;
    bool left_ = false;  // the training thread has left the loop
};

}  // namespace vila::tools
