#include "tools/train_loop.h"

#include <chrono>
#include <cmath>
#include <cstdio>

namespace vila::tools {

namespace {

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

Json finite_or_null(double value) {
    return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace

int TrainLoop::run() {
    saved_step = step;
    while (step < schedule.total_steps) {
        train_one_step();
        const bool stopping = stop.received() != 0;
        const bool last = step == schedule.total_steps;
        const bool saved = !(stopping || last || step % recipe.train.save_every == 0) || save();
        if (last)
            VILA_CHECK(saved,
                       "the last checkpoint could not be saved; the same command goes on "
                       "from step ",
                       saved_step, " once the cause is removed");
        if (stopping && !last) return stop.received();
    }
    return 0;
}

void TrainLoop::train_one_step() {
    const auto start = std::chrono::steady_clock::now();
    const data::StepBatch batch = loader.next();
    VILA_ASSERT(batch.step == step);
    state.clear_gradients();
    const StepResult result = stage.accumulate(batch);
    const double norm = state.gradient_norm();
    const double schedule_now = schedule.at(step);
    const bool applied = update(result, norm, schedule_now);
    ++step;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double lr = recipe.optimizer.lr * schedule_now;
    write_log(batch, result, norm, lr, applied, elapsed.count());
    stop_if_hopeless(batch);
}

bool TrainLoop::update(const StepResult& result, double norm, double schedule_now) {
    if (!std::isfinite(result.loss) || !std::isfinite(norm)) {
        ++state.bad_steps_in_row;
        return false;
    }
    state.bad_steps_in_row = 0;
    state.update(schedule_now, nn::clip_scale(norm, recipe.optimizer.clip_norm));
    stage.after_update();
    return true;
}

void TrainLoop::write_log(const data::StepBatch& batch, const StepResult& result, double norm,
                          double lr, bool applied, double seconds) {
    const double rate = static_cast<double>(batch.tokens) / seconds;
    Json losses = Json::object();
    for (size_t i = 0; i < result.sources.size(); ++i) {
        const SourceLoss& source = result.sources[i];
        if (source.count > 0)
            losses[recipe.data.sources[i].name] =
                finite_or_null(source.sum / static_cast<double>(source.count));
    }
    Json line = {{"step", step},
                 {"loss", finite_or_null(result.loss)},
                 {"lr", lr},
                 {"grad_norm", finite_or_null(norm)},
                 {"tokens", batch.tokens},
                 {"targets", batch.targets},
                 {"tokens_per_second", rate},
                 {"seconds", seconds},
                 {"losses", losses}};
    if (batch.truncated > 0) line["truncated_samples"] = batch.truncated;
    if (save_failures > 0) line["save_failures"] = save_failures;
    for (const data::BadSample& bad : batch.bad_samples)
        line["bad_samples"].push_back({{"where", bad.where}, {"reason", bad.reason}});
    if (!applied) {
        line["skipped"] = true;
        line["samples"] = sample_ids(batch, recipe);
        progress.say(str("step ", step, ": loss ", result.loss, ", gradient norm ", norm,
                         "; the step is skipped"));
    }
    log.write(line);
    std::string details =
        "loss " + fixed(result.loss, "%.4f") + "  " + fixed(rate, "%.0f") + " tokens/s";
    if (peak_flops > 0.0)
        details +=
            "  " + fixed(100.0 * result.flops / seconds / peak_flops, "%.0f") + " % of FMA peak";
    progress.show(step, details);
}

void TrainLoop::stop_if_hopeless(const data::StepBatch& batch) const {
    if (state.bad_steps_in_row < recipe.train.max_bad_steps) return;
    throw Error(str("loss or gradient was not finite in ", state.bad_steps_in_row,
                    " steps in a row (train.max_bad_steps), the last with samples ",
                    sample_ids(batch, recipe).dump(), "; a lower optimizer.lr may help"));
}

bool TrainLoop::save() {
    if (saved_step == step) return true;
    if (!log.sync()) progress.say("the log could not be written; its lines wait in memory");
    try {
        Json info = facts;
        info.update(state.counters());
        checkpoints.save(step, state.tensors(), info);
        saved_step = step;
        save_failures = 0;
        return true;
    } catch (const std::exception& error) {
        ++save_failures;
        progress.say(str("checkpoint of step ", step, " could not be saved (", error.what(),
                         "); training goes on, step ", saved_step, " is safe"));
    }
    VILA_CHECK(save_failures < kMaxSaveFailures, "checkpoints could not be saved ", save_failures,
               " times in a row; the same command goes on from step ", saved_step,
               " once the cause is removed");
    return false;
}

}  // namespace vila::tools
