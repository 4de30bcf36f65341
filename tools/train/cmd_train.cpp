// vila train RECIPE --out RUN [key=value...]: sets everything up, finds out where a run stopped,
// and hands over to the loop (train_loop.cpp). Alone, or as one of the ranks that mpirun or srun
// started: then what only one process may do is rank 0's, and every step of the setting up ends
// with the question whether all ranks got there.

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "dist/agree.h"
#include "dist/launcher.h"
#include "dist/mpi_ranks.h"
#include "dist/watchdog.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/file.h"
#include "tensor/random.h"
#include "tools/base/hash64.h"
#include "tools/base/machine_limits.h"
#include "tools/commands.h"
#include "tools/train/make_stage.h"
#include "tools/train/plan.h"
#include "tools/train/rank_device.h"
#include "tools/train/recipe_tokenizer.h"
#include "tools/train/run_directory.h"
#include "tools/train/train_loop.h"
#include "tools/train/training_data.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

using Warn = std::function<void(const std::string& line)>;

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

// The first rank finds, or makes, what the others then find.
fs::path settle_tokenizer(const Recipe& recipe, const Datasets& datasets, const RunDirectory& run,
                          dist::Collectives& ranks) {
    fs::path tokenizer;
    for (const bool first : {true, false})
        dist::agree(ranks, [&] {
            if ((ranks.rank() == 0) == first)
                tokenizer = settle_tokenizer(recipe, datasets, run.tokenizer());
        });
    return tokenizer;
}

uint64_t hash_weights(const std::vector<ParameterGroup>& groups) {
    uint64_t hash = 0;
    for (const ParameterGroup& group : groups)
        for (const nn::Parameter* parameter : group.parameters)
            hash = random_key(hash, parameter->name) ^ hash64(parameter->variable.value());
    return hash;
}

// Brings the state to where the newest good checkpoint left it; returns its step, or 0.
int64_t resume(CheckpointStore& checkpoints, const Json& facts, Device& device,
               TrainingState& state, Stage& stage, dist::Collectives& ranks) {
    checkpoints.remove_leftovers();
    const std::optional<Checkpoint> checkpoint = checkpoints.load_newest(device);
    if (!checkpoint) return 0;
    dist::agree(ranks, [&] { check_facts(checkpoint->info, facts); });
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

void announce(const Recipe& recipe, const dist::Collectives& ranks, int64_t step, int64_t steps,
              const TrainingState& state, const Device& device, double peak_flops) {
    const std::string begin = step > 0 ? str("from step ", step, ", stage ") : "stage ";
    const std::string line =
        str(begin, recipe.stage, ": ", steps, " steps of ", recipe.train.global_batch, " samples, ",
            state.parameters(), " parameters learn, on ",
            ranks.ranks() > 1 ? str(ranks.ranks(), " ranks, each ") : "", device.name(),
            peak_flops > 0.0 ? str(", ", static_cast<int64_t>(peak_flops / 1e9), " GFLOP/s of FMA")
                             : "");
    std::fprintf(stderr, "%s\n", line.c_str());
}

// Runs `body`; where memory runs out in it, the message says what the recipe was expected to take.
template <typename Body>
void telling_the_plan(const Recipe& recipe, const dist::Collectives& ranks, const Body& body) try {
    body();
} catch (const OutOfMemory& error) {
    throw OutOfMemory(error.what() + plan_words(recipe, ranks.ranks()));
} catch (const std::bad_alloc&) {
    throw OutOfMemory("out of memory" + plan_words(recipe, ranks.ranks()));
}

// Returns 0 when the run is finished, or the exit code of the signal that stopped it.
int train(const Recipe& recipe, const RunDirectory& run, const TrainOptions& options,
          dist::Collectives& ranks, dist::Watchdog* watchdog, Device& device,
          const StopSignals& stop) {
    const bool first = ranks.rank() == 0;
    const Warn warn = [first](const std::string& line) {
        if (first) std::fprintf(stderr, "%s\n", line.c_str());
    };
    Datasets datasets;
    dist::agree(ranks, [&] { datasets = open_sources(recipe); });
    const fs::path tokenizer = settle_tokenizer(recipe, datasets, run, ranks);
    std::unique_ptr<Stage> stage;
    std::unique_ptr<TrainingState> state;
    Json facts;
    dist::agree(ranks, [&] {
        telling_the_plan(recipe, ranks, [&] {
            stage = make_stage(recipe, run.root(), tokenizer, ranks, device, warn);
        });
        facts = run_facts(recipe, datasets, *stage);
    });
    dist::check_same(ranks, "data or frozen weights", facts.dump(0));
    if (ranks.ranks() > 1)
        dist::check_same(ranks, "first weights", hash_text(hash_weights(stage->groups())));
    telling_the_plan(recipe, ranks, [&] { state = make_training_state(*stage, recipe, ranks); });
    CheckpointStore checkpoints(run.checkpoints(), recipe.train.keep, warn, &ranks);
    const int64_t step = resume(checkpoints, facts, device, *state, *stage, ranks);
    dist::agree(ranks, [&] {
        if (first && !options.no_space_check) check_room(recipe, run, checkpoints, *state);
    });
    const nn::Schedule schedule = {.peak = 1.0,
                                   .warmup_ratio = recipe.schedule.warmup_ratio,
                                   .decay = nn::decay_from_name(recipe.schedule.decay),
                                   .total_steps = total_steps(recipe, datasets)};
    // A GPU's is in no loop of ours: `vila bench` measures it.
    const bool on_cpu = device.kind() == DeviceKind::Cpu;
    const double peak_flops =
        dist::sum(ranks, on_cpu ? multiply_add_peak(static_cast<CpuDevice&>(device)) : 0.0);
    if (first) announce(recipe, ranks, step, schedule.total_steps, *state, device, peak_flops);

    std::optional<RunLog> log;
    dist::agree(ranks, [&] {
        if (first) log.emplace(run.log(), step);
    });
    Progress progress("step", schedule.total_steps, step, !first);
    std::optional<data::Loader> loader;
    dist::agree(ranks, [&] {
        make_loader(recipe, datasets, *stage, ranks, step, device, progress, loader);
    });
    TrainLoop loop{.recipe = recipe,
                   .ranks = ranks,
                   .watchdog = watchdog,
                   .stage = *stage,
                   .state = *state,
                   .loader = *loader,
                   .checkpoints = checkpoints,
                   .log = log ? &*log : nullptr,
                   .progress = progress,
                   .stop = stop,
                   .schedule = schedule,
                   .facts = facts,
                   .peak_flops = peak_flops,
                   .step = step};
    int signal = 0;
    telling_the_plan(recipe, ranks, [&] { signal = loop.run(); });
    if (signal != 0) {
        progress.say(str("stopped at step ", loop.step, "; the same command goes on from there"));
        return StopSignals::exit_code(signal);
    }
    if (watchdog != nullptr) watchdog->phase("model", loop.step, recipe.train.save_limit);
    state->gather_weights(first);
    dist::agree(ranks, [&] {
        VILA_CHECK(facts.at("frozen_weights") == hash_text(stage->frozen_hash()),
                   "internal error: a frozen weight changed; please report this");
        if (first) stage->save(run.model());
    });
    state->release_weights();
    return 0;
}

// Programs that differ would compute differently.
std::string program_hash() {
    const std::string program = read_file("/proc/self/exe");
    return hash_text(hash64(program.data(), static_cast<int64_t>(program.size())));
}

// Seconds in which all ranks must have read the recipe and come together.
constexpr double kStartLimit = 600.0;

int train_as_rank(const TrainOptions& options, dist::Collectives& bootstrap,
                  const StopSignals& stop) {
    const bool first = bootstrap.rank() == 0, several = bootstrap.ranks() > 1;
    std::optional<dist::Watchdog> watchdog;
    if (several) {
        watchdog.emplace(bootstrap.rank(), bootstrap.ranks());
        watchdog->phase("start", 0, kStartLimit);
    }
    dist::Watchdog* const watch = watchdog ? &*watchdog : nullptr;
    std::optional<dist::WatchedRanks> starting(std::in_place, bootstrap, watch);
    if (several) dist::check_same(bootstrap, "program (hash of its file)", program_hash());
    Recipe recipe;
    std::unique_ptr<Device> device;
    dist::agree(bootstrap, [&] {
        recipe = load_recipe(options.recipe, options.overrides);
        device = make_rank_device(options.common);
    });
    dist::check_same(bootstrap, "recipe", recipe_text(recipe));
    dist::check_same(bootstrap, "--out", fs::absolute(options.out).string());
    std::optional<RunDirectory> run;
    dist::agree(bootstrap, [&] {
        run.emplace(options.out, first);
        if (first) run->settle(recipe);
    });
    if (several) {
        dist::agree(bootstrap, [&] { watchdog->share(run->watch()); });
        watchdog->phase("set-up", 0, recipe.train.setup_limit);
    }
    const std::unique_ptr<dist::Collectives> by_gpu =
        connect_devices(bootstrap, options.common, *device);
    dist::Collectives& ranks = by_gpu ? *by_gpu : bootstrap;
    starting.reset();  // one call is told once
    const dist::WatchedRanks watched(ranks, watch);
    if (!dist::any_of(ranks, first && run->finished())) {
        const int code = train(recipe, *run, options, ranks, watch, *device, stop);
        if (code != 0) return code;
    }
    if (first) std::fprintf(stderr, "finished: %s\n", run->model().c_str());
    return 0;
}

constexpr int kExitFailure = 1;

}  // namespace

int cmd_train(Args& args) {
    // Before MPI starts threads of its own.
    const StopSignals stop;
    // A file-size limit is a full disk like any other: let write() say so.
    std::signal(SIGXFSZ, SIG_IGN);
    TrainOptions options = parse_options(args);
    options.common = as_local_rank(options.common);
    std::unique_ptr<dist::Collectives> ranks;
    try {
        // First: a launcher that dies while ranks still find each other leaves none behind either.
        if (dist::read_launcher().ranks > 1) dist::die_with_parent();
        ranks = dist::join_ranks();
        return train_as_rank(options, *ranks, stop);
    } catch (const dist::AgreedError&) {
        // Rank 0 says it for all.
        if (ranks->rank() == 0) throw;
    } catch (const std::exception& error) {
        const dist::LauncherInfo launched = dist::read_launcher();
        if (ranks && ranks->ranks() > 1) {
            std::fprintf(stderr, "vila train: rank %d: %s\n", static_cast<int>(ranks->rank()),
                         error.what());
            dist::abort_ranks(kExitFailure);
        }
        if (ranks || launched.rank == 0) throw;
    }
    return kExitFailure;
}

}  // namespace vila::tools
