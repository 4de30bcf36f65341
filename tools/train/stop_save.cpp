#include "tools/train/stop_save.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "dist/mpi_ranks.h"
#include "tools/base/message_line.h"

namespace vila::tools {

namespace {

// How long to wait for the other ranks, and for the end of an update.
constexpr double kAnswerLimit = 25.0;  // seconds
constexpr int kExitFailure = 1;

}  // namespace

void leave_unsaved(StopSignals& stop, dist::FileRanks& files, int64_t begun, int signal) {
    try {
        files.send(&begun, sizeof begun);
    } catch (const std::exception&) {
        // For example, the disk is full. The other ranks wait until kAnswerLimit is over.
    }
    const char* what = files.rank() != 0 ? ""
                       : begun > 0       ? "stopped; the same command resumes"
                                         : "stopped during set-up; the same command starts again";
    stop.end(StopSignals::exit_code(signal), what);
}

StopSave::StopSave(const StopSaveParts& parts, int64_t step)
    : parts_(parts), begun_(step), finished_(step), saved_(step) {
    if (parts_.on_training_thread) {
        parts_.stop.on_stop([](int) { dist::outlive_launcher(); });
        return;
    }
    state_ = parts_.state.parts();
    parts_.stop.on_stop([this](int signal) { stop(signal); });
}

StopSave::~StopSave() {
    {
        const std::lock_guard lock(mutex_);
        left_ = true;
    }
    changed_.notify_all();
    parts_.stop.on_stop([&stop = parts_.stop, &files = parts_.files, begun = begun_](int signal) {
        leave_unsaved(stop, files, begun, signal);
    });
}

void StopSave::begin_update() {
    std::unique_lock lock(mutex_);
    while (stopping_) changed_.wait(lock);
    ++begun_;
}

void StopSave::end_step(int64_t step, int64_t saved) {
    {
        const std::lock_guard lock(mutex_);
        finished_ = step;
        saved_ = saved;
    }
    changed_.notify_all();
}

int StopSave::signal() const {
    return parts_.on_training_thread ? parts_.stop.received() : 0;
}

void StopSave::stop(int signal) {
    dist::outlive_launcher();
    int code = StopSignals::exit_code(signal);
    std::string line;
    int64_t step = 0;
    try {
        step = agree_on_step();
        if (step < 0) return;
        if (step > saved_) save(step);
        line = saved_ > 0 ? str("stopped at step ", saved_, "; the same command resumes from there")
                          : "stopped in the first step; the same command starts again";
    } catch (const dist::RankEnded&) {
        // The launcher or the watchdog reports why, and stops this rank for that reason.
        code = kExitFailure;
    } catch (const std::exception& error) {
        code = kExitFailure;
        line = str(
            "vila train: stopped by a signal at step ", step,
            ", whose checkpoint could not be saved (", one_line(error.what()), "); ",
            saved_ > 0
                ? str("the same command resumes from step ", saved_, " once the cause is removed")
                : "there is no checkpoint yet: the same command starts from the beginning");
    }
    parts_.stop.end(code, parts_.files.rank() == 0 ? line : "");
}

int64_t StopSave::agree_on_step() {
    int64_t begun;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        begun = begun_;
    }
    std::vector<int64_t> all(static_cast<size_t>(parts_.files.ranks()));
    parts_.watchdog.last_phase("stop", begun, 0.0);
    parts_.files.set_limit(kAnswerLimit);
    parts_.files.all_gather(&begun, all.data(), sizeof begun);
    const int64_t step = *std::min_element(all.begin(), all.end());
    std::unique_lock lock(mutex_);
    const bool ended = changed_.wait_for(lock, std::chrono::duration<double>(kAnswerLimit),
                                         [&] { return finished_ >= step || left_; });
    VILA_CHECK(ended, "the update of step ", step, " did not end for ", kAnswerLimit, " s");
    return finished_ >= step ? step : -1;
}

void StopSave::save(int64_t step) {
    parts_.watchdog.last_phase("save", step, parts_.limit);
    parts_.files.set_limit(parts_.limit);
    if (parts_.log != nullptr) parts_.log->sync();
    Json info = parts_.facts;
    info.update(parts_.state.counters());
    CheckpointStore store(
        parts_.checkpoints, parts_.keep, [](const std::string&) {}, &parts_.files);
    store.save(step, state_, info);
    saved_ = step;
    if (parts_.on_saved) parts_.on_saved();
}

}  // namespace vila::tools
