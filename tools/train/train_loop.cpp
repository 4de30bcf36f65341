#include "tools/train/train_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>

#include "dist/agree.h"
#include "nn/adamw.h"

namespace vila::tools {

namespace {

// The watchdog's patience where the recipe names none.
constexpr double kLeastStepLimit = 60.0;  // seconds
constexpr double kStepLimitMedians = 20.0;
constexpr size_t kStepsInMedian = 32;

std::string fixed(double value, const char* format) {
    char text[64];
    std::snprintf(text, sizeof(text), format, value);
    return text;
}

// The samples of a batch by name, for reports of bad steps.
Json sample_ids(const data::StepBatch& batch, const Recipe& recipe) {
    Json ids = Json::array();
    for (const data::MicroBatch& micro : batch.micro_batches)
        for (const data::LoadedSample& loaded : micro.samples) {
            const std::string& source =
                recipe.data.sources[static_cast<size_t>(loaded.sample.source)].name;
            ids.push_back(str(source, "[", loaded.sample.index, "]",
                              loaded.sample.id.empty() ? "" : " " + loaded.sample.id));
        }
    return ids;
}

// The arrays of all ranks in a row.
Json join(dist::Collectives& ranks, const Json& mine) {
    Json all = Json::array();
    const auto ignore = Json::error_handler_t::replace;  // ids may be no UTF-8
    for (const std::string& text : dist::all_gather(ranks, mine.dump(-1, ' ', false, ignore)))
        for (const Json& item : Json::parse(text)) all.push_back(item);
    return all;
}

Json all_sample_ids(dist::Collectives& ranks, const data::StepBatch& batch, const Recipe& recipe) {
    return join(ranks, sample_ids(batch, recipe));
}

Json all_bad_samples(dist::Collectives& ranks, const data::StepBatch& batch) {
    Json mine = Json::array();
    for (const data::BadSample& bad : batch.bad_samples)
        mine.push_back({{"where", bad.where}, {"reason", bad.reason}});
    return join(ranks, mine);
}

// What a rank says before the gradients of a step.
struct Opening {
    int64_t failed = 0, micro_batches = 0, tokens = 0, targets = 0, truncated = 0, bad_samples = 0;
};

Json finite_or_null(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace

int TrainLoop::run() {
    saved_step = step;
    while (step < schedule.total_steps) {
        train_one_step();
        const bool last = step == schedule.total_steps;
        const bool leaving = signal != 0 || last;
        end_save(false);
        const bool saved = !(leaving || step % recipe.train.save_every == 0) ||
                           save(recipe.train.async_save && !leaving);
        if (last && !saved)
            throw dist::AgreedError(
                str("the last checkpoint could not be saved; the same command goes on from step ",
                    saved_step, " once the cause is removed"));
        if (signal != 0 && !last) return signal;
    }
    return 0;
}

void TrainLoop::train_one_step() {
    const auto start = std::chrono::steady_clock::now();
    const dist::Traffic traffic = ranks.traffic();
    phase("data", step_limit());
    StepTotals totals;
    const data::StepBatch batch = next_batch(totals);
    phase("gradients", step_limit());
    state.begin_step();
    const StepResult result = stage.accumulate(
        batch,
        {.targets = totals.targets, .after_micro_batch = [this] { state.end_micro_batch(); }});
    // Others have more micro-batches: their sums need this rank's zeros.
    for (auto done = static_cast<int64_t>(batch.micro_batches.size()); done < totals.rounds; ++done)
        state.end_micro_batch();
    phase("update", step_limit());
    vote(result, totals);
    const double schedule_now = schedule.at(step);
    const bool applied = update(totals, schedule_now);
    ++step;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (step_seconds.size() == kStepsInMedian) step_seconds.erase(step_seconds.begin());
    step_seconds.push_back(elapsed.count());
    write_log(batch, totals, recipe.optimizer.lr * schedule_now, applied, elapsed.count(),
              ranks.traffic() - traffic);
    stop_if_hopeless(batch);
}

data::StepBatch TrainLoop::next_batch(StepTotals& totals) {
    data::StepBatch batch;
    std::string failure;
    try {
        batch = loader.next();
    } catch (const std::exception& error) {
        if (ranks.ranks() == 1) throw;
        failure = error.what();
    }
    const Opening mine = {.failed = failure.empty() ? 0 : 1,
                          .micro_batches = static_cast<int64_t>(batch.micro_batches.size()),
                          .tokens = batch.tokens,
                          .targets = batch.targets,
                          .truncated = batch.truncated,
                          .bad_samples = static_cast<int64_t>(batch.bad_samples.size())};
    std::vector<Opening> all(static_cast<size_t>(ranks.ranks()));
    ranks.all_gather(&mine, all.data(), sizeof mine);
    int64_t failed = 0;
    for (const Opening& opening : all) {
        failed += opening.failed;
        totals.rounds = std::max(totals.rounds, opening.micro_batches);
        totals.tokens += opening.tokens;
        totals.targets += opening.targets;
        totals.truncated += opening.truncated;
        totals.bad_samples += opening.bad_samples;
    }
    if (failed > 0) dist::agree(ranks, failure);
    VILA_ASSERT(batch.step == step);
    return batch;
}

void TrainLoop::vote(const StepResult& result, StepTotals& totals) {
    // Counts and votes are added like the rest: exactly.
    std::vector<dist::ExactSum> sums = {result.loss, state.gradient_squares()};
    const auto add = [&](double value) { sums.emplace_back().add(value); };
    add(result.flops);
    constexpr int kSignals[] = {SIGINT, SIGTERM};  // the last one counts most
    for (const int one : kSignals) add(stop.received() == one ? 1.0 : 0.0);
    add(checkpoints.written() ? 1.0 : 0.0);
    for (size_t i = 0; i < recipe.data.sources.size(); ++i) {
        const SourceLoss source = i < result.sources.size() ? result.sources[i] : SourceLoss();
        sums.push_back(source.sum);
        add(static_cast<double>(source.count));
    }
    dist::sum_over_ranks(ranks, sums);
    size_t next = 0;
    const auto take = [&] { return sums[next++].value(); };
    totals.loss = take() / result.of;
    totals.norm = std::sqrt(take());
    totals.flops = take();
    for (const int one : kSignals)
        if (take() > 0.0) signal = one;
    all_written = take() == static_cast<double>(ranks.ranks());
    for (size_t i = 0; i < recipe.data.sources.size(); ++i) {
        totals.sources.push_back(take());
        totals.counts.push_back(take());
    }
}

bool TrainLoop::update(const StepTotals& totals, double schedule_now) {
    if (!std::isfinite(totals.loss) || !std::isfinite(totals.norm)) {
        ++state.bad_steps_in_row;
        return false;
    }
    state.bad_steps_in_row = 0;
    state.update(schedule_now, nn::clip_scale(totals.norm, recipe.optimizer.clip_norm));
    stage.after_update();
    return true;
}

void TrainLoop::write_log(const data::StepBatch& batch, const StepTotals& totals, double lr,
                          bool applied, double seconds, const dist::Traffic& traffic) {
    const double rate = static_cast<double>(totals.tokens) / seconds;
    Json losses = Json::object();
    for (size_t i = 0; i < totals.sources.size(); ++i)
        if (totals.counts[i] > 0.0)
            losses[recipe.data.sources[i].name] =
                finite_or_null(totals.sources[i] / totals.counts[i]);
    Json line = {{"step", step},
                 {"loss", finite_or_null(totals.loss)},
                 {"lr", lr},
                 {"grad_norm", finite_or_null(totals.norm)},
                 {"tokens", totals.tokens},
                 {"targets", totals.targets},
                 {"tokens_per_second", rate},
                 {"seconds", seconds},
                 {"losses", losses}};
    if (ranks.ranks() > 1)
        line["communication"] = {{"collectives", traffic.calls},
                                 {"sent_bytes", traffic.bytes_sent},
                                 {"seconds", traffic.seconds},
                                 {"exposed_seconds", traffic.exposed}};
    if (totals.truncated > 0) line["truncated_samples"] = totals.truncated;
    if (save_failures > 0) line["save_failures"] = save_failures;
    if (totals.bad_samples > 0) line["bad_samples"] = all_bad_samples(ranks, batch);
    if (!applied) {
        line["skipped"] = true;
        line["samples"] = all_sample_ids(ranks, batch, recipe);
        progress.say(str("step ", step, ": loss ", totals.loss, ", gradient norm ", totals.norm,
                         "; the step is skipped"));
    }
    if (log == nullptr) return;
    log->write(line);
    std::string details =
        "loss " + fixed(totals.loss, "%.4f") + "  " + fixed(rate, "%.0f") + " tokens/s";
    if (peak_flops > 0.0)
        details +=
            "  " + fixed(100.0 * totals.flops / seconds / peak_flops, "%.0f") + " % of FMA peak";
    if (ranks.ranks() > 1)
        details += "  " + fixed(static_cast<double>(traffic.bytes_sent) / 1e6, "%.1f") +
                   " MB sent, " + fixed(100.0 * traffic.exposed / seconds, "%.0f") +
                   " % of the time waiting";
    progress.show(step, details);
}

void TrainLoop::stop_if_hopeless(const data::StepBatch& batch) const {
    if (state.bad_steps_in_row < recipe.train.max_bad_steps) return;
    throw dist::AgreedError(str("loss or gradient was not finite in ", state.bad_steps_in_row,
                                " steps in a row (train.max_bad_steps), the last with samples ",
                                all_sample_ids(ranks, batch, recipe).dump(),
                                "; a lower optimizer.lr may help"));
}

bool TrainLoop::save(bool in_background) {
    if (!end_save(true)) in_background = false;
    if (saved_step == step) return true;
    phase("save", recipe.train.save_limit);
    if (log != nullptr && !log->sync())
        progress.say("the log could not be written; its lines wait in memory");
    Json info = facts;
    info.update(state.counters());
    if (!in_background)
        return note_save([&] { checkpoints.save(step, state.parts(), info); }, step);
    saving_step = step;
    try {
        checkpoints.begin_save(step, state.parts(), info);
        return true;
    } catch (const std::exception&) {
        const std::exception_ptr error = std::current_exception();
        return note_save([&] { std::rethrow_exception(error); }, step);
    }
}

bool TrainLoop::end_save(bool at_once) {
    if (!checkpoints.saving()) return true;
    if (!at_once && !all_written) return true;
    phase("save", recipe.train.save_limit);
    return note_save([&] { checkpoints.finish_save(); }, saving_step);
}

bool TrainLoop::note_save(const std::function<void()>& save, int64_t of_step) {
    try {
        save();
        saved_step = of_step;
        save_failures = 0;
        return true;
    } catch (const std::exception& error) {
        ++save_failures;
        progress.say(str("checkpoint of step ", of_step, " could not be saved (", error.what(),
                         "); training goes on, step ", saved_step, " is safe"));
    }
    if (save_failures >= kMaxSaveFailures)
        throw dist::AgreedError(str("checkpoints could not be saved ", save_failures,
                                    " times in a row; the same command goes on from step ",
                                    saved_step, " once the cause is removed"));
    return false;
}

void TrainLoop::phase(const char* name, double limit) {
    if (watchdog != nullptr) watchdog->phase(name, step, limit);
}

double TrainLoop::step_limit() const {
    if (recipe.train.step_limit > 0.0) return recipe.train.step_limit;
    if (step_seconds.empty()) return recipe.train.setup_limit;
    std::vector<double> sorted = step_seconds;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<int64_t>(sorted.size() / 2),
                     sorted.end());
    return std::max(kLeastStepLimit, kStepLimitMedians * sorted[sorted.size() / 2]);
}

}  // namespace vila::tools
