#include "tools/train/train_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <exception>

#include "dist/agree.h"
#include "nn/adamw.h"

namespace vila::tools {

namespace {

// Without the option step_limit, a step may take kStepLimitMedians times the median of the last
// kStepsInMedian steps, but at least kMinStepLimit seconds.
constexpr double kMinStepLimit = 60.0;
constexpr double kStepLimitMedians = 20.0;
constexpr size_t kStepsInMedian = 32;

// The stop signals. If several were received, the last one in this list counts.
constexpr int kSignals[] = {SIGHUP, SIGINT, SIGTERM};

// The counts that the ranks exchange before the gradients of a step.
struct StepHeader {
    int64_t failed = 0, micro_batches = 0, tokens = 0, targets = 0, truncated = 0, bad_samples = 0;
};

}  // namespace

TrainLoop::TrainLoop(const TrainLoopParts& parts, TrainLoopOptions options, int64_t finished_steps)
    : parts_(parts),
      options_(std::move(options)),
      step_(finished_steps),
      saved_step_(finished_steps) {}

int TrainLoop::run() {
    while (step_ < options_.schedule.total_steps) {
        train_one_step();
        finish_background_save(false);
        const bool is_last = step_ == options_.schedule.total_steps;
        const bool is_leaving = signal_ != 0 || is_last;
        if (is_leaving || step_ % options_.save_every == 0) {
            const bool saved = save(options_.async_save && !is_leaving);
            if (is_leaving && !saved)
                throw dist::AgreedError(
                    str(is_last ? std::string("the last checkpoint")
                                : str("stopped by a signal at step ", step_, ", whose checkpoint"),
                        " could not be saved; ", resume_text()));
        }
        parts_.stop.end_step(step_, saved_step_);
        if (signal_ != 0 && !is_last) return signal_;
    }
    return 0;
}

void TrainLoop::train_one_step() {
    const auto start = std::chrono::steady_clock::now();
    const dist::Traffic traffic = parts_.ranks.traffic();
    begin_phase("data", step_limit());
    StepTotals totals;
    const data::StepBatch batch = next_batch(totals);
    begin_phase("gradients", compute_limit());
    parts_.state.begin_step();
    const StepResult result = parts_.stage.accumulate(
        batch, {.targets = totals.targets,
                .after_micro_batch = [this] { parts_.state.end_micro_batch(); }});
    // If other ranks have more micro-batches, this rank takes part in their sums with zeros.
    for (auto done = static_cast<int64_t>(batch.micro_batches.size());
         done < totals.max_micro_batches; ++done)
        parts_.state.end_micro_batch();
    parts_.stop.begin_update();
    begin_phase("update", compute_limit());
    reduce_totals(result, totals);
    const double schedule_now = options_.schedule.at(step_);
    const bool updated = update(totals, schedule_now);
    ++step_;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (step_seconds_.size() == kStepsInMedian) step_seconds_.erase(step_seconds_.begin());
    step_seconds_.push_back(elapsed.count());
    write_log(batch, totals, options_.lr * schedule_now, updated,
              {.seconds = elapsed.count(), .traffic = parts_.ranks.traffic() - traffic});
    check_bad_steps(batch);
}

data::StepBatch TrainLoop::next_batch(StepTotals& totals) {
    data::StepBatch batch;
    std::string failure;
    try {
        batch = parts_.loader.next();
    } catch (const std::exception& error) {
        if (parts_.ranks.ranks() == 1) throw;
        failure = error.what();
    }
    const StepHeader mine = {.failed = failure.empty() ? 0 : 1,
                             .micro_batches = static_cast<int64_t>(batch.micro_batches.size()),
                             .tokens = batch.tokens,
                             .targets = batch.targets,
                             .truncated = batch.truncated,
                             .bad_samples = static_cast<int64_t>(batch.bad_samples.size())};
    std::vector<StepHeader> all(static_cast<size_t>(parts_.ranks.ranks()));
    parts_.ranks.all_gather(&mine, all.data(), sizeof mine);
    int64_t failed = 0, bad_samples = 0;
    for (const StepHeader& header : all) {
        failed += header.failed;
        totals.max_micro_batches = std::max(totals.max_micro_batches, header.micro_batches);
        totals.tokens += header.tokens;
        totals.targets += header.targets;
        totals.truncated += header.truncated;
        bad_samples += header.bad_samples;
    }
    if (failed > 0) dist::agree(parts_.ranks, failure);
    if (bad_samples > 0) {
        totals.bad_samples = all_bad_samples(parts_.ranks, batch);
        dist::agree(parts_.ranks, [&] { parts_.loader.count_bad(totals.bad_samples); });
    }
    VILA_ASSERT(batch.step == step_);
    return batch;
}

void TrainLoop::reduce_totals(const StepResult& result, StepTotals& totals) {
    // One list of exact sums, written and read back in the same order. A flag is sent as 0 or 1;
    // its sum is the number of ranks that set it.
    std::vector<dist::ExactSum> sums = {result.loss, parts_.state.gradient_squares()};
    const auto add = [&](double value) { sums.emplace_back().add(value); };
    add(result.flops);
    for (const int signal : kSignals) add(parts_.stop.signal() == signal ? 1.0 : 0.0);
    add(parts_.checkpoints.written() ? 1.0 : 0.0);
    const size_t num_sources = options_.sources.size();
    for (size_t i = 0; i < num_sources; ++i) {
        const SourceLoss source = i < result.sources.size() ? result.sources[i] : SourceLoss();
        sums.push_back(source.sum);
        add(static_cast<double>(source.count));
    }
    dist::sum_over_ranks(parts_.ranks, sums);
    size_t next = 0;
    const auto take = [&] { return sums[next++].value(); };
    totals.loss = take() / result.loss_count;
    totals.norm = std::sqrt(take());
    totals.flops = take();
    for (const int signal : kSignals)
        if (take() > 0.0) signal_ = signal;
    all_written_ = take() == static_cast<double>(parts_.ranks.ranks());
    for (size_t i = 0; i < num_sources; ++i) {
        totals.source_losses.push_back(take());
        totals.source_counts.push_back(take());
    }
}

bool TrainLoop::update(const StepTotals& totals, double schedule_now) {
    if (!std::isfinite(totals.loss) || !std::isfinite(totals.norm)) {
        ++parts_.state.bad_steps_in_row;
        return false;
    }
    parts_.state.bad_steps_in_row = 0;
    parts_.state.update(schedule_now, nn::clip_scale(totals.norm, options_.clip_norm));
    parts_.stage.after_update();
    return true;
}

void TrainLoop::write_log(const data::StepBatch& batch, const StepTotals& totals, double lr,
                          bool updated, const StepCosts& costs) {
    const bool several_ranks = parts_.ranks.ranks() > 1;
    Json line = step_line(step_, totals, lr, costs, options_.sources, several_ranks);
    if (save_failures_ > 0) line["save_failures"] = save_failures_;
    if (!updated) {
        line["skipped"] = true;
        line["samples"] = all_sample_ids(parts_.ranks, batch, options_.sources);
        parts_.progress.say(str("step ", step_, ": loss ", totals.loss, ", gradient norm ",
                                totals.norm, "; the step is skipped"));
    }
    if (parts_.log == nullptr) return;
    parts_.log->write(line);
    parts_.progress.show(step_, step_text(totals, costs, parts_.peak_flops, several_ranks));
}

void TrainLoop::check_bad_steps(const data::StepBatch& batch) const {
    const int64_t bad_steps = parts_.state.bad_steps_in_row;
    if (bad_steps < options_.max_bad_steps) return;
    throw dist::AgreedError(str("loss or gradient was not finite in ", bad_steps,
                                " steps in a row (train.max_bad_steps), the last with samples ",
                                all_sample_ids(parts_.ranks, batch, options_.sources).dump(),
                                "; a lower optimizer.lr may help"));
}

bool TrainLoop::save(bool in_background) {
    if (!finish_background_save(true)) in_background = false;
    if (saved_step_ == step_) return true;
    begin_phase("save", options_.save_limit);
    if (parts_.log != nullptr && !parts_.log->sync())
        parts_.progress.say("the log could not be written; its lines are kept in memory");
    Json info = parts_.facts;
    info.update(parts_.state.counters());
    if (!in_background)
        return record_save([&] { parts_.checkpoints.save(step_, parts_.state.parts(), info); },
                           step_);
    pending_step_ = step_;
    try {
        parts_.checkpoints.begin_save(step_, parts_.state.parts(), info);
        return true;
    } catch (const std::exception&) {
        const std::exception_ptr error = std::current_exception();
        return record_save([&] { std::rethrow_exception(error); }, step_);
    }
}

bool TrainLoop::finish_background_save(bool wait) {
    if (!parts_.checkpoints.saving()) return true;
    if (!wait && !all_written_) return true;
    begin_phase("save", options_.save_limit);
    return record_save([&] { parts_.checkpoints.finish_save(); }, pending_step_);
}

bool TrainLoop::record_save(const std::function<void()>& save, int64_t step) {
    try {
        save();
        saved_step_ = step;
        save_failures_ = 0;
        parts_.on_saved();
        return true;
    } catch (const std::exception& error) {
        ++save_failures_;
        parts_.progress.say(str("checkpoint of step ", step, " could not be saved (", error.what(),
                                "); ",
                                saved_step_ == 0 ? "there is no checkpoint yet"
                                                 : str("step ", saved_step_, " is safe")));
    }
    if (save_failures_ >= kMaxSaveFailures)
        throw dist::AgreedError(str("checkpoints could not be saved ", save_failures_,
                                    " times in a row; ", resume_text()));
    return false;
}

std::string TrainLoop::resume_text() const {
    return saved_step_ == 0
               ? "there is no checkpoint yet: the same command starts from the beginning"
               : str("the same command resumes from step ", saved_step_,
                     " once the cause is removed");
}

void TrainLoop::begin_phase(const char* name, double limit) {
    parts_.watchdog.phase(name, step_, limit);
}

double TrainLoop::step_limit() const {
    if (options_.step_limit > 0.0) return options_.step_limit;
    if (step_seconds_.empty()) return options_.setup_limit;
    std::vector<double> sorted = step_seconds_;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<int64_t>(sorted.size() / 2),
                     sorted.end());
    return std::max(kMinStepLimit, kStepLimitMedians * sorted[sorted.size() / 2]);
}

double TrainLoop::compute_limit() const {
    const bool is_alone = parts_.ranks.ranks() == 1;
    return is_alone && options_.step_limit == 0.0 ? 0.0 : step_limit();
}

}  // namespace vila::tools
