#include "tools/train/training_job.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "dist/agree.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"
#include "tools/base/hash64.h"
#include "tools/base/machine_limits.h"
#include "tools/base/message_line.h"
#include "tools/train/checkpoint_format.h"
#include "tools/train/plan.h"
#include "tools/train/recipe_tokenizer.h"
#include "tools/train/run_facts.h"
#include "tools/train/stop_save.h"

namespace vila::tools {

namespace {

uint64_t hash_weights(const std::vector<ParameterGroup>& groups) {
    uint64_t hash = 0;
    for (const ParameterGroup& group : groups)
        for (const nn::Parameter* parameter : group.parameters)
            hash = random_key(hash, parameter->name) ^ hash64(parameter->variable.value());
    return hash;
}

// Throws if a weight that was trained is infinite or NaN.
void check_finite(const std::vector<ParameterGroup>& groups) {
    for (const ParameterGroup& group : groups)
        for (const nn::Parameter* parameter : group.parameters)
            for (const float value : parameter->variable.value().to_vector<float>())
                VILA_CHECK(std::isfinite(value), "a weight of ", parameter->name,
                           " is not finite, so no model is written; start a new run with a lower "
                           "optimizer.lr");
}

}  // namespace

TrainingJob::TrainingJob(const Recipe& recipe, const RunDirectory& run, dist::Collectives& ranks,
                         dist::Watchdog& watchdog, Device& device)
    : recipe_(recipe),
      run_(run),
      ranks_(ranks),
      watchdog_(watchdog),
      device_(device),
      warn_([prints = is_first()](const std::string& line) {
          if (prints) std::fprintf(stderr, "%s\n", message_line(line).c_str());
      }),
      checkpoints_(run.checkpoints(), recipe.train.keep, warn_, &ranks) {}

int TrainingJob::run(StopSignals& stop, dist::FileRanks& files, bool checks_disk_space) {
    open_data();
    open_tokenizer();
    make_model();
    make_state();
    resume();
    dist::agree(ranks_, [&] {
        if (is_first() && checks_disk_space) check_disk_space();
    });
    prepare_loop();
    if (const int signal = train(stop, files); signal != 0) return StopSignals::exit_code(signal);
    save_model();
    return 0;
}

void TrainingJob::begin_phase(const char* name) {
    watchdog_.phase(name, step_, recipe_.train.setup_limit);
}

void TrainingJob::open_data() {
    begin_phase("set-up: data");
    dist::agree(ranks_, [&] {
        datasets_ = open_sources(recipe_);
        check_global_batch(recipe_, datasets_);
    });
    for (size_t i = 0; i < datasets_.size(); ++i)
        for (const data::LeftOut& reason : datasets_[i]->left_out())
            warn_(str(recipe_.data.sources[i].name, ": left out ", data::describe(reason)));
}

void TrainingJob::open_tokenizer() {
    begin_phase("set-up: tokenizer");
    for (const bool first : {true, false})
        dist::agree(ranks_, [&] {
            if (is_first() == first) tokenizer_ = find_or_train_tokenizer(recipe_, datasets_, run_);
        });
}

void TrainingJob::make_model() {
    begin_phase("set-up: model");
    dist::agree(ranks_, [&] {
        explain_out_of_memory(
            [&] { stage_ = make_stage(recipe_, run_.root(), tokenizer_, ranks_, device_, warn_); });
        facts_ = run_facts(recipe_, datasets_, tokenizer_, stage_->frozen_hash());
    });
    dist::check_same(ranks_, "data or frozen weights", shared_facts(facts_).dump(0));
    if (ranks_.ranks() > 1)
        dist::check_same(ranks_, "initial weights", hash_text(hash_weights(stage_->groups())));
}

void TrainingJob::make_state() {
    explain_out_of_memory([&] { state_ = make_training_state(*stage_, recipe_, ranks_); });
}

void TrainingJob::resume() {
    begin_phase("set-up: checkpoint");
    const std::optional<Checkpoint> checkpoint = checkpoints_.load_newest(device_);
    if (!checkpoint) return;
    dist::agree(ranks_, [&] {
        // The checkpoint has the facts of rank 0.
        if (is_first())
            check_facts(checkpoint->info, facts_, "checkpoint " + step_name(checkpoint->step));
    });
    state_->restore(*checkpoint);
    stage_->after_update();
    step_ = checkpoint->step;
    run_.record_checkpoints();
}

void TrainingJob::check_disk_space() const {
    const auto present = static_cast<int64_t>(checkpoints_.steps().size());
    // One more than train.keep, because a new checkpoint is complete before an old one is removed.
    check_free_space(run_.root(), state_->bytes(),
                     std::max<int64_t>(recipe_.train.keep + 1 - present, 1));
}

void TrainingJob::prepare_loop() {
    begin_phase("set-up: loader");
    total_steps_ = total_steps(recipe_, datasets_);
    // The peak of a GPU is not measured here, only in `vila bench`.
    const bool on_cpu = device_.kind() == DeviceKind::Cpu;
    peak_flops_ =
        dist::sum(ranks_, on_cpu ? multiply_add_peak(static_cast<CpuDevice&>(device_)) : 0.0);
    if (is_first()) announce();
    dist::agree(ranks_, [&] {
        if (is_first()) log_.emplace(run_.log(), step_);
    });
    progress_.emplace("step", total_steps_, step_, !is_first());
    dist::agree(ranks_, [&] {
        make_loader(recipe_, datasets_, *stage_, ranks_, step_, device_, *progress_, loader_);
    });
}

TrainLoopOptions TrainingJob::loop_options() const {
    const TrainRecipe& train = recipe_.train;
    TrainLoopOptions options = {.schedule = {.peak = 1.0,
                                             .warmup_ratio = recipe_.schedule.warmup_ratio,
                                             .decay = nn::decay_from_name(recipe_.schedule.decay),
                                             .total_steps = total_steps_},
                                .lr = recipe_.optimizer.lr,
                                .clip_norm = recipe_.optimizer.clip_norm,
                                .save_every = train.save_every,
                                .async_save = train.async_save,
                                .max_bad_steps = train.max_bad_steps,
                                .step_limit = train.step_limit,
                                .setup_limit = train.setup_limit,
                                .save_limit = train.save_limit,
                                .sources = {}};
    for (const SourceRecipe& source : recipe_.data.sources) options.sources.push_back(source.name);
    return options;
}

int TrainingJob::train(StopSignals& stop, dist::FileRanks& files) {
    const std::function<void()> on_saved = [&] { run_.record_checkpoints(); };
    StopSave stop_save({.stop = stop,
                        .files = files,
                        .watchdog = watchdog_,
                        .state = *state_,
                        .log = log_ ? &*log_ : nullptr,
                        .on_saved = on_saved,
                        .facts = facts_,
                        .checkpoints = run_.checkpoints(),
                        .keep = recipe_.train.keep,
                        .limit = recipe_.train.save_limit,
                        .on_training_thread = device_.kind() != DeviceKind::Cpu},
                       step_);
    TrainLoop loop({.ranks = ranks_,
                    .watchdog = watchdog_,
                    .stage = *stage_,
                    .state = *state_,
                    .loader = *loader_,
                    .checkpoints = checkpoints_,
                    .log = log_ ? &*log_ : nullptr,
                    .progress = *progress_,
                    .stop = stop_save,
                    .on_saved = on_saved,
                    .facts = facts_,
                    .peak_flops = peak_flops_},
                   loop_options(), step_);
    int signal = 0;
    explain_out_of_memory([&] { signal = loop.run(); });
    step_ = loop.step();
    if (signal != 0)
        progress_->say(str("stopped at step ", step_, "; the same command resumes from there"));
    return signal;
}

void TrainingJob::save_model() {
    watchdog_.phase("model", step_, recipe_.train.save_limit);
    if (state_->bad_steps_in_row > 0)
        throw dist::AgreedError(
            str("the last ", state_->bad_steps_in_row,
                " steps were skipped because loss or gradient was not finite, so no model is "
                "written; start a new run with a lower optimizer.lr"));
    state_->gather_weights(is_first());
    dist::agree(ranks_, [&] {
        VILA_CHECK(facts_.at("frozen_weights") == hash_text(stage_->frozen_hash()),
                   "internal error: a frozen weight changed; please report this");
        if (!is_first()) return;
        check_finite(stage_->groups());
        run_.record_model();
        stage_->save(run_.model());
        run_.record_model_files();
    });
    state_->release_weights();
}

void TrainingJob::announce() const {
    const std::string begin = step_ > 0 ? str("from step ", step_, ", stage ") : "stage ";
    const std::string line = str(
        begin, stage_facts(*recipe_.stage).name, ": ", total_steps_, " steps of ",
        recipe_.train.global_batch, " samples, ", state_->parameters(),
        " trainable parameters, on ",
        ranks_.ranks() > 1 ? str(ranks_.ranks(), " ranks, each ") : "", device_.name(),
        peak_flops_ > 0.0 ? str(", FMA peak ", static_cast<int64_t>(peak_flops_ / 1e9), " GFLOP/s")
                          : "");
    std::fprintf(stderr, "%s\n", line.c_str());
}

void TrainingJob::explain_out_of_memory(const std::function<void()>& body) const try {
    body();
} catch (const OutOfMemory& error) {
    throw OutOfMemory(error.what() + plan_summary(recipe_, ranks_.ranks()));
} catch (const std::bad_alloc&) {
    throw OutOfMemory("out of memory" + plan_summary(recipe_, ranks_.ranks()));
}

}  // namespace vila::tools
