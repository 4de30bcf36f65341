// vila plan RECIPE: bytes on each rank and tokens a step, before anything is launched. Needs the
// configurations of the model's parts, not their weights.

#include <cstdio>

#include "tools/base/json_lines.h"
#include "tools/commands.h"
#include "tools/train/plan.h"

namespace vila::tools {

namespace {

constexpr double kGigabyte = 1e9;

std::string gigabytes(int64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%10.3f GB", static_cast<double>(bytes) / kGigabyte);
    return text;
}

void print_row(const char* what, const std::string& value) {
    std::printf("%-44s%s\n", what, value.c_str());
}

bool fits(PlanQuestion question, int64_t sequences, double bytes) {
    question.sequences = sequences;
    return static_cast<double>(plan_memory(question).peak) <= bytes;
}

// The most sequences a micro-batch may have; 0 when not even one fits.
int64_t largest_micro_batch(const PlanQuestion& question, double bytes, int64_t most) {
    int64_t fit = 0, too_many = most + 1;
    for (int64_t next = 1; too_many - fit > 1;
         next = too_many > most ? std::min(2 * fit, most) : (fit + too_many) / 2) {
        if (fits(question, next, bytes))
            fit = next;
        else
            too_many = next;
        if (fit == most) break;
    }
    return fit;
}

}  // namespace

int cmd_plan(Args& args) {
    std::string file;
    std::vector<std::string> overrides;
    int64_t ranks = 1, images = 1;
    double memory_gb = 0.0;
    bool json = false;
    args.positional("RECIPE", file, "recipe file (TOML)");
    args.optional_positional("KEY=VALUE", overrides, "recipe values on top of the file");
    args.option("--ranks", ranks, "ranks of the job")->check(CLI::Range(1, 1 << 20));
    args.option("--images", images, "images in each sequence of max_length positions, at most")
        ->check(CLI::Range(0, 1 << 20));
    args.option("--memory-gb", memory_gb,
                "memory of a rank's device in 1e9 bytes: find the largest micro-batch");
    args.flag("--json", json, "one JSON object on stdout");
    args.parse();

    const Recipe recipe = load_recipe(file, overrides);
    if (recipe.stage == "clip") throw Error("stage clip is not planned: it runs in one process");
    PlanQuestion question = recipe_question(recipe, ranks, images);
    const MemoryPlan plan = plan_memory(question);
    question.activation_checkpointing = !question.activation_checkpointing;
    const MemoryPlan other = plan_memory(question);
    question.activation_checkpointing = !question.activation_checkpointing;
    const bool checkpointing = question.activation_checkpointing;
    const MemoryPlan& with = checkpointing ? plan : other;
    const MemoryPlan& without = checkpointing ? other : plan;
    const int64_t tokens = recipe.train.global_batch * question.length;
    const int64_t largest = memory_gb > 0.0 ? largest_micro_batch(question, memory_gb * kGigabyte,
                                                                  recipe.train.global_batch)
                                            : 0;
    if (json) {
        Json answer = {{"ranks", ranks},
                       {"zero", question.zero},
                       {"parameters", plan.parameters},
                       {"learning", plan.learning},
                       {"weights", plan.weights},
                       {"optimizer", plan.optimizer},
                       {"step_with_checkpointing", with.step},
                       {"step_without_checkpointing", without.step},
                       {"peak", plan.peak},
                       {"images", question.images},
                       {"most_tokens", tokens}};
        if (memory_gb > 0.0) answer["largest_micro_batch"] = largest;
        std::puts(answer.dump().c_str());
        return 0;
    }
    std::printf(
        "%lld parameters, %lld learn; on each of %lld ranks, ZeRO %lld, %s, micro-batches of "
        "%lld times %lld positions with %lld images:\n",
        static_cast<long long>(plan.parameters), static_cast<long long>(plan.learning),
        static_cast<long long>(ranks), static_cast<long long>(question.zero),
        dtype_name(question.dtype), static_cast<long long>(question.sequences),
        static_cast<long long>(question.length), static_cast<long long>(question.images));
    print_row("weights that stay whole", gigabytes(plan.weights));
    print_row("optimizer, sums of gradients", gigabytes(plan.optimizer));
    print_row("activations, gradients, buckets", gigabytes(plan.step));
    print_row("  with activation checkpointing", gigabytes(with.step));
    print_row("  without", gigabytes(without.step));
    print_row("peak", gigabytes(plan.peak));
    print_row("positions a step, at most", str("   ", tokens));
    if (memory_gb > 0.0)
        print_row("largest train.micro_batch that fits",
                  largest > 0 ? str("   ", largest) : "   none");
    return 0;
}

}  // namespace vila::tools
