// vila demo: from nothing to a trained model, on the miniature world. Renders the world, trains a
// language model and a vision tower from scratch, joins them in VILA's three stages, scores the
// result on held-out questions and writes the report. Every stage is a `vila train` process with a
// recipe in DIR/recipes. A demo that was stopped continues where it stopped.

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <optional>

#include "data/world/world.h"
#include "tensor/file.h"
#include "tensor/json.h"
#include "tools/base/output.h"
#include "tools/base/process_signals.h"
#include "tools/base/timing.h"
#include "tools/base/work_folder.h"
#include "tools/commands.h"
#include "tools/demo/demo_recipes.h"
#include "tools/demo/demo_results.h"
#include "tools/report/report.h"

namespace vila::tools {

namespace {

namespace fs = std::filesystem;

constexpr WorkFolder::Kind kDemo = {
    .title = "vila demo", .what = "a demo", .busy = "another demo runs there"};

// Runs this binary with the arguments `words` and waits for it. Throws if it fails.
void run_self(const std::vector<std::string>& words) {
    std::vector<std::string> copies = {"vila"};
    copies.insert(copies.end(), words.begin(), words.end());
    std::vector<char*> arguments;
    for (std::string& word : copies) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    VILA_CHECK(child >= 0, "cannot start another process");
    if (child == 0) {
        // If the demo is killed, the training process gets SIGTERM, saves and ends.
        ProcessSignals::restore_in_child();
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        ::execv("/proc/self/exe", arguments.data());
        std::_Exit(127);
    }
    int status = 0;
    VILA_CHECK(::waitpid(child, &status, 0) == child, "lost the training process");
    VILA_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "'vila ", words[0], " ", words[1],
               "' did not finish; run the same command again to continue");
}

// Renders the world, unless it exists. Throws if the existing one has another seed, or another size
// than `scale` asks for.
void provide_world(const fs::path& world, uint64_t seed, std::optional<double> scale) {
    data::WorldOptions options;
    options.seed = seed;
    options = options.scaled(scale.value_or(1.0));
    if (fs::exists(world / "world.json")) {
        const Json description = read_json_file(world / "world.json");
        VILA_CHECK_EQ(description.at("seed").get<uint64_t>(), seed, world.string(),
                      ": holds the world of another seed; give its --seed or another --out");
        VILA_CHECK(!scale || description.at("train_images").get<int64_t>() ==
                                 int64_t{options.train_single} + options.train_multi,
                   world.string(),
                   ": holds a world of another size; leave out --scale or give another --out");
        return;
    }
    data::make_world(options, world);
}

// Returns whether two folders hold the same files.
bool have_same_files(const fs::path& a, const fs::path& b) {
    const auto holds = [](const fs::path& outer, const fs::path& inner) {
        for (const auto& entry : fs::recursive_directory_iterator(inner)) {
            const fs::path twin = outer / entry.path().lexically_relative(inner);
            if (!fs::exists(twin)) return false;
            if (entry.is_regular_file() && read_file(entry.path()) != read_file(twin)) return false;
        }
        return true;
    };
    return holds(a, b) && holds(b, a);
}

// Copies the model, unless it was copied by an earlier start.
void copy_model(const fs::path& from, const fs::path& to) {
    if (fs::exists(to) && !fs::is_empty(to)) {
        VILA_CHECK(have_same_files(from, to), to.string(), ": exists and is not the model in ",
                   from.string(), "; move it away or choose another --out");
        return;
    }
    AtomicDirectory directory(to);
    fs::copy(from, directory.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    directory.commit();
}

// Whether a demo of a version that did not lock its folder made it.
bool is_older_demo(const fs::path& out) {
    return fs::exists(out / "world" / "world.json") && fs::exists(out / "recipes" / "sft.toml") &&
           fs::exists(out / "runs");
}

// Throws if the results would replace files that no demo made.
void check_results(const fs::path& out) {
    const fs::path results = out / "results.json";
    VILA_CHECK(!fs::exists(results) ||
                   try_parse_json(read_file(results)).value_or(Json()).contains("seconds"),
               results.string(),
               ": was not written by vila demo; move it away or choose another --out");
    check_report_path(out, out / "report.html");
}

struct DemoOptions {
    fs::path out = "demo";
    std::optional<double> scale;
    std::vector<std::string> overrides;
    CommonOptions common;
};

DemoOptions parse_options(Args& args) {
    DemoOptions options;
    args.option("--out", options.out, "output folder; a demo that was stopped is continued");
    args.option("--scale", options.scale,
                "size of the world, as a multiple of that of the full demo (default: 1)")
        .range(1e-4, 100.0);
    args.option(
        "--set", options.overrides,
        "KEY=VALUE to set in the recipe of every stage, such as train.steps=10; may be repeated");
    options.common.declare(args);
    args.parse();
    options.out = fs::absolute(options.out);
    return options;
}

// Trains every stage; returns the seconds that each took.
Json train_stages(const DemoOptions& options, uint64_t seed) {
    Json seconds;
    for (const DemoRecipe& recipe : demo_recipes()) {
        std::fprintf(stderr, "== %s\n", recipe.name.c_str());
        const Stopwatch clock;
        const fs::path file = options.out / "recipes" / (recipe.name + ".toml");
        if (!fs::exists(file)) write_file_atomic(file, recipe.text);
        VILA_CHECK(read_file(file) == recipe.text, file.string(),
                   ": is not the recipe of this demo; move it away or choose another --out, and "
                   "run an own recipe with vila train");
        std::vector<std::string> words = {"train", file.string()};
        words.insert(words.end(), options.overrides.begin(), options.overrides.end());
        const std::vector<std::string> rest = {
            "--out",     (options.out / "runs" / recipe.name).string(),
            "--seed",    std::to_string(seed),
            "--device",  options.common.device,
            "--threads", std::to_string(options.common.threads)};
        words.insert(words.end(), rest.begin(), rest.end());
        if (options.common.dtype) words.insert(words.end(), {"--dtype", *options.common.dtype});
        run_self(words);
        seconds[recipe.name] = clock.elapsed();
    }
    return seconds;
}

void print_next_steps(const fs::path& out) {
    const std::string program = fs::read_symlink("/proc/self/exe").string();
    const std::string model = " --model " + (out / "model").string();
    const std::string with_image =
        model + " --image " + (out / "world/images/test/000000.png").string();
    print_text(str("\nReport:            ", (out / "report.html").string(),
                   "\nAsk a question:    ", program, " generate", with_image,
                   " --prompt \"what color is the circle ?\"", "\nChat:              ", program,
                   " chat", with_image, "\nTrain further:     copy a recipe from ",
                   (out / "recipes").string(), " and run ", program, " train with it\n"));
}

}  // namespace

int cmd_demo(Args& args) {
    const DemoOptions options = parse_options(args);
    const uint64_t seed = options.common.seed.value_or(1);
    const Stopwatch total;
    const WorkFolder folder(options.out, kDemo, is_older_demo(options.out));
    folder.remove_leftovers({options.out, options.out / "recipes"});
    check_results(options.out);
    fs::create_directories(options.out / "recipes");
    fs::create_directories(options.out / "runs");
    std::fprintf(stderr, "== the miniature world\n");
    const Stopwatch clock;
    provide_world(options.out / "world", seed, options.scale);
    Json seconds = {{"world", clock.elapsed()}};
    seconds.update(train_stages(options, seed));
    copy_model(options.out / "runs" / "sft" / "model", options.out / "model");

    std::fprintf(stderr, "== held-out questions\n");
    const Stopwatch evaluation;
    Json results = {{"seed", seed}};
    results.update(measure_demo(options.out, options.common));
    seconds["evaluation"] = evaluation.elapsed();
    seconds["total"] = total.elapsed();
    results["seconds"] = seconds;
    write_file_atomic(options.out / "results.json", results.dump(1) + "\n");
    write_file_atomic(options.out / "report.html", report_page(options.out));
    print_text(demo_summary(results));
    print_text(str("\n", std::llround(total.elapsed()), " seconds in total\n"));
    print_next_steps(options.out);
    return 0;
}

}  // namespace vila::tools
