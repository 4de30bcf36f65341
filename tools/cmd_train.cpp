// vila train RECIPE --out RUN [key=value...]: sets everything up, finds out where a run stopped,
// and hands over to the loop (train_loop.cpp).

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "data/mixture.h"
#include "tensor/cpu/cpu_device.h"
#include "tools/bench_limits.h"
#include "tools/commands.h"
#include "tools/contrastive_stage.h"
#include "tools/hash64.h"
#include "tools/language_stage.h"
#include "tools/recipe_tokenizer.h"
#include "tools/run_directory.h"
#include "tools/train_loop.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

using Warn = std::function<void(const std::string& line)>;
using Datasets = std::vector<std::unique_ptr<data::Dataset>>;

struct TrainOptions {
    std::string recipe, out;
    std::vector<std::string> overrides;
    bool no_space_check = false;
    CommonOptions common;
};

TrainOptions parse_options(Args& args) {
    TrainOptions options;
    args.positional("RECIPE", options.recipe, "recipe file (TOML)");
    args.optional_positional("KEY=VALUE", options.overrides,
                             "recipe values on top of the file, as optimizer.lr=1e-4 or "
                             "data.sources[0].weight=2; paths are relative to the recipe file");
    args.option("--out", options.out, "run directory; a run that is there goes on")->required();
    args.flag("--no-space-check", options.no_space_check,
              "start even if the disk seems too small for the checkpoints");
    options.common.declare(args);
    args.footer(recipe_help());
    args.parse();
    if (options.common.dtype) options.overrides.push_back("train.dtype=" + *options.common.dtype);
    if (options.common.seed) options.overrides.push_back(str("train.seed=", *options.common.seed));
    return options;
}

Datasets open_sources(const Recipe& recipe) {
    Datasets datasets;
    for (const SourceRecipe& source : recipe.data.sources)
        datasets.push_back(data::open_dataset({.format = source.format,
                                               .path = source.path,
                                               .images = source.images,
                                               .max_images = source.max_images}));
    return datasets;
}

// What must be the same when a run goes on, beyond the recipe.
Json run_facts(const Recipe& recipe, const Datasets& datasets, Stage& stage) {
    Json facts = {{"records", Json::object()}, {"frozen_weights", hash_text(stage.frozen_hash())}};
    for (size_t i = 0; i < datasets.size(); ++i)
        facts["records"][recipe.data.sources[i].name] = datasets[i]->size();
    return facts;
}

void check_facts(const Json& before, const Json& now) {
    VILA_CHECK(before.at("frozen_weights") == now.at("frozen_weights"),
               "the frozen weights are not those the run began with; was model.init replaced?");
    for (const auto& [name, records] : now.at("records").items())
        VILA_CHECK(before.at("records").value(name, int64_t{-1}) == records, "data source ", name,
                   " had ", before.at("records").value(name, int64_t{-1}),
                   " records when the run began and has ", records,
                   "; go on with the same data or choose another --out");
}

data::Loader make_loader(const Recipe& recipe, const Datasets& datasets, Stage& stage,
                         int64_t start_step, const Device& device, Progress* progress) {
    std::vector<const data::Dataset*> views;
    std::vector<double> weights;
    for (size_t i = 0; i < datasets.size(); ++i) {
        views.push_back(datasets[i].get());
        weights.push_back(recipe.data.sources[i].weight);
    }
    data::LoaderOptions options;
    options.max_length = recipe.data.max_length;
    options.image_tokens = stage.image_tokens();
    options.global_batch = recipe.train.global_batch;
    options.micro_batch =
        stage.needs_whole_batch() ? recipe.train.global_batch : recipe.train.micro_batch;
    options.pack = recipe.data.pack && !stage.needs_whole_batch();
    options.seed = static_cast<uint64_t>(recipe.train.seed);
    options.start_step = start_step;
    // Half of the cores prepare batches; they wait most of the time.
    options.threads = std::max(1, static_cast<const CpuDevice&>(device).threads() / 2);
    options.on_bad_sample = [progress](const data::BadSample& bad) {
        progress->say(str("bad sample ", bad.where, ": ", bad.reason, "; replaced"));
    };
    return data::Loader(views, weights, stage.context(), stage.image_loader(), options);
}

// Samples of one pass over the data: as many as there are records.
int64_t total_steps(const Recipe& recipe, const Datasets& datasets) {
    if (recipe.train.steps) return *recipe.train.steps;
    double records = 0.0;
    for (const auto& dataset : datasets) records += static_cast<double>(dataset->size());
    const double steps =
        *recipe.train.epochs * records / static_cast<double>(recipe.train.global_batch);
    return std::max<int64_t>(1, static_cast<int64_t>(steps));
}

std::unique_ptr<Stage> make_stage(const Recipe& recipe, const RunDirectory& run,
                                  const fs::path& tokenizer, Device& device, const Warn& warn) {
    if (recipe.stage == "clip")
        return std::make_unique<ContrastiveStage>(recipe, run.root(), tokenizer, device);
    return std::make_unique<LanguageStage>(recipe, run.root(), tokenizer, device, warn);
}

// Brings the state to where the newest good checkpoint left it; returns its step, or 0.
int64_t resume(CheckpointStore& checkpoints, const Json& facts, Device& device,
               TrainingState& state, Stage& stage) {
    checkpoints.remove_leftovers();
    const std::optional<Checkpoint> checkpoint = checkpoints.load_newest(device);
    if (!checkpoint) return 0;
    check_facts(checkpoint->info, facts);
    state.restore(*checkpoint);
    stage.after_update();
    return checkpoint->step;
}

void check_room(const Recipe& recipe, const RunDirectory& run, const CheckpointStore& checkpoints,
                const TrainingState& state) {
    const auto there = static_cast<int64_t>(checkpoints.steps().size());
    // One more than are kept, because a new one is whole before an old one goes.
    check_free_space(run.root(), state.bytes(),
                     std::max<int64_t>(recipe.train.keep + 1 - there, 1));
}

void announce(const Recipe& recipe, int64_t step, int64_t steps, const TrainingState& state,
              const Device& device, double peak_flops) {
    const std::string begin = step > 0 ? str("from step ", step, ", stage ") : "stage ";
    const std::string line =
        str(begin, recipe.stage, ": ", steps, " steps of ", recipe.train.global_batch, " samples, ",
            state.parameters(), " parameters learn, on ", device.name(), ", ",
            static_cast<int64_t>(peak_flops / 1e9), " GFLOP/s of FMA");
    std::fprintf(stderr, "%s\n", line.c_str());
}

// Returns 0 when the run is finished, or the exit code of the signal that stopped it.
int train(const Recipe& recipe, const RunDirectory& run, const TrainOptions& options,
          Device& device, const StopSignals& stop) {
    const Warn warn = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
    const Datasets datasets = open_sources(recipe);
    const fs::path tokenizer = settle_tokenizer(recipe, datasets, run.tokenizer());
    const std::unique_ptr<Stage> stage = make_stage(recipe, run, tokenizer, device, warn);
    TrainingState state(stage->groups(), recipe.optimizer);
    CheckpointStore checkpoints(run.checkpoints(), recipe.train.keep, warn);
    const Json facts = run_facts(recipe, datasets, *stage);
    const int64_t step = resume(checkpoints, facts, device, state, *stage);
    if (!options.no_space_check) check_room(recipe, run, checkpoints, state);
    const nn::Schedule schedule = {.peak = 1.0,
                                   .warmup_ratio = recipe.schedule.warmup_ratio,
                                   .decay = nn::decay_from_name(recipe.schedule.decay),
                                   .total_steps = total_steps(recipe, datasets)};
    const double peak_flops = multiply_add_peak(static_cast<CpuDevice&>(device));
    announce(recipe, step, schedule.total_steps, state, device, peak_flops);

    RunLog log(run.log(), step);
    Progress progress("step", schedule.total_steps, step);
    data::Loader loader = make_loader(recipe, datasets, *stage, step, device, &progress);
    TrainLoop loop{.recipe = recipe,
                   .stage = *stage,
                   .state = state,
                   .loader = loader,
                   .checkpoints = checkpoints,
                   .log = log,
                   .progress = progress,
                   .stop = stop,
                   .schedule = schedule,
                   .facts = facts,
                   .peak_flops = peak_flops,
                   .step = step};
    if (const int signal = loop.run()) {
        progress.say(str("stopped at step ", loop.step, "; the same command goes on from there"));
        return StopSignals::exit_code(signal);
    }
    VILA_CHECK(facts.at("frozen_weights") == hash_text(stage->frozen_hash()),
               "internal error: a frozen weight changed; please report this");
    stage->save(run.model());
    return 0;
}

}  // namespace

int cmd_train(Args& args) {
    const TrainOptions options = parse_options(args);
    const StopSignals stop;
    // A file-size limit is a full disk like any other: let write() say so.
    std::signal(SIGXFSZ, SIG_IGN);
    const Recipe recipe = load_recipe(options.recipe, options.overrides);
    const std::unique_ptr<Device> device = options.common.make_device();
    const RunDirectory run(options.out);
    run.settle(recipe);
    if (!run.finished()) {
        const int code = train(recipe, run, options, *device, stop);
        if (code != 0) return code;
    }
    std::fprintf(stderr, "finished: %s\n", run.model().c_str());
    return 0;
}

}  // namespace vila::tools
