// vila train RECIPE --out RUN [key=value...]: reads the options, joins the ranks that mpirun or
// srun started (or runs alone), checks that all ranks have the same program and recipe, and runs a
// TrainingJob.

#include <cstdio>

#include "dist/agree.h"
#include "dist/file_ranks.h"
#include "dist/launcher.h"
#include "dist/mpi_ranks.h"
#include "dist/mpirun_guard.h"
#include "dist/watchdog.h"
#include "tensor/file.h"
#include "tools/base/hash64.h"
#include "tools/base/message_line.h"
#include "tools/commands.h"
#include "tools/train/rank_device.h"
#include "tools/train/stop_save.h"
#include "tools/train/training_job.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

struct TrainOptions {
    std::string recipe;
    fs::path out;
    std::vector<std::string> overrides;
    bool no_space_check = false;
    CommonOptions common;
};

TrainOptions parse_options(Args& args) {
    TrainOptions options;
    args.positional("RECIPE", options.recipe, "recipe file (TOML)");
    args.optional_positional(
        "KEY=VALUE", options.overrides,
        "set a recipe key to another value than in the file, such as optimizer.lr=1e-4 "
        "or data.sources[0].weight=2; paths are relative to the recipe file");
    args.option("--out", options.out,
                "run directory; if it holds an unfinished run, that run is resumed")
        .required();
    args.flag("--no-space-check", options.no_space_check,
              "start even if the disk seems too small for the checkpoints");
    options.common.declare(args);
    args.footer(recipe_help());
    args.parse();
    if (options.common.dtype) options.overrides.push_back("train.dtype=" + *options.common.dtype);
    if (options.common.seed) options.overrides.push_back(str("train.seed=", *options.common.seed));
    return options;
}

// Hash of the running program. Ranks with different programs would compute different results.
std::string program_hash() {
    const std::string program = read_file("/proc/self/exe");
    return hash_text(hash64(program.data(), static_cast<int64_t>(program.size())));
}

// All ranks must have read the recipe and opened the run directory within this time.
constexpr double kStartLimit = 600.0;  // seconds

// Ends the message about a phase that takes too long.
constexpr const char* kLimitAdvice =
    "; the limits are train.setup_limit, step_limit and save_limit";

struct RankSetup {
    Recipe recipe;
    std::unique_ptr<Device> device;
    std::optional<RunDirectory> run;
};

// Reads the recipe, makes the device and opens the run directory. Throws on all ranks unless they
// have the same program, recipe and --out.
void set_up(const TrainOptions& options, dist::Collectives& ranks, RankSetup& setup) {
    const bool is_first = ranks.rank() == 0;
    if (ranks.ranks() > 1) dist::check_same(ranks, "program (hash of its file)", program_hash());
    dist::agree(ranks, [&] {
        setup.recipe = load_recipe(options.recipe, options.overrides);
        setup.device = make_rank_device(options.common);
    });
    dist::check_same(ranks, "recipe", recipe_text(setup.recipe));
    dist::check_same(ranks, "--out", fs::absolute(options.out).string());
    dist::agree(ranks, [&] {
        refuse_inputs_in_run(setup.recipe, options.out);
        setup.run.emplace(options.out, is_first);
        if (is_first) setup.run->store_recipe(setup.recipe, options.recipe);
    });
}

// The folder through which the ranks of a job exchange statuses and signals, RUN/.watch.
class WatchFolder {
  public:
    // The first rank removes what a killed job left there, and makes the folder for several ranks.
    WatchFolder(const RunDirectory& run, dist::Collectives& ranks)
        : folder_(run.watch()), is_first_(ranks.rank() == 0) {
        dist::agree(ranks, [&] {
            if (!is_first_) return;
            if (fs::exists(folder_))
                for (const auto& entry : fs::directory_iterator(folder_))
                    if (entry.is_regular_file()) fs::remove(entry.path());
            if (ranks.ranks() == 1) return;
            fs::create_directories(folder_);
            write_file_atomic(stop_file(), "");
        });
    }
    ~WatchFolder() {
        if (!is_first_) return;
        std::error_code ignored;
        fs::remove(stop_file(), ignored);
        fs::remove(folder_, ignored);
    }
    WatchFolder(const WatchFolder&) = delete;
    WatchFolder& operator=(const WatchFolder&) = delete;

    // Tells all ranks of a signal to one of them.
    fs::path stop_file() const { return folder_ / "stop"; }

  private:
    fs::path folder_;
    bool is_first_;
};

// While it exists, a signal ends the program and tells the other ranks.
class LeaveOnSignal {
  public:
    LeaveOnSignal(StopSignals& stop, dist::FileRanks& files) : stop_(stop) {
        stop_.on_stop([&](int signal) { leave_unsaved(stop, files, 0, signal); });
    }
    ~LeaveOnSignal() { stop_.end_on_stop(); }
    LeaveOnSignal(const LeaveOnSignal&) = delete;
    LeaveOnSignal& operator=(const LeaveOnSignal&) = delete;

  private:
    StopSignals& stop_;
};

// Trains as one rank of the job; returns the exit code.
int train_as_rank(const TrainOptions& options, dist::Collectives& bootstrap, StopSignals& stop) {
    const bool is_first = bootstrap.rank() == 0, several_ranks = bootstrap.ranks() > 1;
    dist::Watchdog watchdog(bootstrap.rank(), bootstrap.ranks(), kLimitAdvice);
    watchdog.phase("start", 0, kStartLimit);
    std::optional<dist::WatchedRanks> watched_bootstrap(std::in_place, bootstrap, &watchdog);

    RankSetup setup;
    set_up(options, bootstrap, setup);
    const WatchFolder folder(*setup.run, bootstrap);
    std::optional<dist::FileRanks> files;
    dist::agree(bootstrap, [&] {
        files.emplace(setup.run->watch(), bootstrap.rank(), bootstrap.ranks());
        if (several_ranks) watchdog.share(setup.run->watch());
    });
    if (several_ranks) files->try_locks(bootstrap);
    if (several_ranks) stop.share(folder.stop_file());
    const LeaveOnSignal leave_on_signal(stop, *files);
    watchdog.phase("set-up", 0, setup.recipe.train.setup_limit);
    const std::unique_ptr<dist::Collectives> by_gpu =
        connect_devices(bootstrap, options.common, *setup.device);
    dist::Collectives& ranks = by_gpu ? *by_gpu : bootstrap;
    // `ranks` is `bootstrap` or calls it, so only one of the two may notify the watchdog.
    watched_bootstrap.reset();
    const dist::WatchedRanks watched(ranks, &watchdog);

    bool is_finished = false;
    dist::agree(ranks, [&] { is_finished = is_first && setup.run->settle_model(); });
    if (!dist::any_of(ranks, is_finished)) {
        TrainingJob job(setup.recipe, *setup.run, ranks, watchdog, *setup.device);
        const int code = job.run(stop, *files, !options.no_space_check);
        if (code != 0) return code;
    }
    if (is_first) std::fprintf(stderr, "finished: %s\n", setup.run->model().c_str());
    return 0;
}

constexpr int kExitFailure = 1;

}  // namespace

int cmd_train(Args& args) {
    const bool guarded = dist::continue_under_guard();
    // Constructed before MPI starts threads, so that they inherit the blocked signals, and before
    // joining, so that this rank also ends if the launcher dies during joining.
    StopSignals stop(guarded || dist::read_launcher().ranks > 1);
    TrainOptions options = parse_options(args);
    options.common = as_local_rank(options.common);
    std::unique_ptr<dist::Collectives> ranks;
    try {
        ranks = dist::join_ranks();
        return train_as_rank(options, *ranks, stop);
    } catch (const dist::AgreedError& error) {
        stop.wait_if_ending();
        // All ranks have the same error. Rank 0 prints it before they leave MPI together, because
        // mpirun kills the others when one has exited.
        if (ranks->rank() == 0)
            std::fprintf(stderr, "%s\n", message_line(str("vila train: ", error.what())).c_str());
    } catch (const std::exception& error) {
        stop.wait_if_ending();
        const dist::LauncherInfo launched = dist::read_launcher();
        if (ranks && ranks->ranks() > 1) {
            const std::string message = str("vila train: rank ", ranks->rank(), ": ", error.what());
            std::fprintf(stderr, "%s\n", message_line(message).c_str());
            dist::abort_ranks(kExitFailure);
        }
        if (ranks || launched.rank == 0) throw;
    }
    return kExitFailure;
}

}  // namespace vila::tools
