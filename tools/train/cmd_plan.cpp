// vila plan RECIPE: predicts the memory of each rank and the tokens per step before a job is
// started. Reads the configurations of the model's parts, not their weights.

#include <algorithm>
#include <cstdio>

#include "tools/base/json_lines.h"
#include "tools/base/option_checks.h"
#include "tools/base/output.h"
#include "tools/base/units.h"
#include "tools/commands.h"
#include "tools/train/plan.h"
#include "tools/train/recipe_limits.h"

namespace vila::tools {

namespace {

void print_row(const char* name, const std::string& value) {
    char label[64];
    std::snprintf(label, sizeof label, "%-44s", name);
    print_text(str(label, value, "\n"));
}

void print_bytes(const char* name, int64_t bytes) {
    char value[32];
    std::snprintf(value, sizeof value, "%13s", gigabytes(bytes).c_str());
    print_row(name, value);
}

bool fits(PlanOptions options, int64_t sequences, double bytes) {
    options.sequences = sequences;
    return static_cast<double>(plan_memory(options).peak) <= bytes;
}

// Returns the largest number of sequences, up to `most`, whose micro-batch fits into `bytes` and
// may be in a recipe; 0 if one sequence does not fit.
int64_t largest_micro_batch(const PlanOptions& options, double bytes, int64_t most) {
    most = std::min(most, kMostMicroBatchPositions / options.length);
    int64_t fit = 0, too_many = most + 1;
    for (int64_t next = 1; too_many - fit > 1;
         next = too_many > most ? std::min(2 * fit, most) : (fit + too_many) / 2) {
        if (fits(options, next, bytes))
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
    args.positional("RECIPE", file, "recipe file (TOML); - is standard input");
    args.optional_positional("KEY=VALUE", overrides,
                             "set a recipe key to another value than in the file");
    args.option("--ranks", ranks, "number of ranks").range(1, 1 << 20);
    args.option("--images", images,
                "images in each sequence of data.max_length positions (fewer if they do not fit)")
        .range(0, 1 << 20);
    args.option(
            "--memory-gb", memory_gb,
            "memory of each rank in GB (1e9 bytes): also find the largest train.micro_batch that "
            "fits into it; 0 skips this")
        .range(0.0, 1e6);
    args.flag("--json", json, "print one JSON object");
    args.parse();

    const Recipe recipe = load_recipe(file, overrides);
    VILA_CHECK(
        can_plan(recipe), "stage ", stage_facts(*recipe.stage).name,
        " cannot be planned: vila plan runs a step of a vision language model, and this stage "
        "trains a vision tower with a text tower");
    PlanOptions options = plan_options(recipe, ranks, images);
    if (!options.model.vision)
        refuse_options(args, {"--images"}, "on a model without a vision tower");
    const MemoryPlan plan = plan_memory(options);
    options.activation_checkpointing = !options.activation_checkpointing;
    const MemoryPlan other = plan_memory(options);
    options.activation_checkpointing = !options.activation_checkpointing;
    const bool checkpointing = options.activation_checkpointing;
    const MemoryPlan& with = checkpointing ? plan : other;
    const MemoryPlan& without = checkpointing ? other : plan;
    const int64_t tokens = recipe.train.global_batch * options.length;
    const int64_t largest = memory_gb > 0.0 ? largest_micro_batch(options, memory_gb * kGigabyte,
                                                                  recipe.train.global_batch)
                                            : 0;
    if (json) {
        Json answer = {{"ranks", ranks},
                       {"zero", options.zero},
                       {"parameters", plan.parameters},
                       {"learning", plan.trainable},
                       {"weights", plan.weights},
                       {"optimizer", plan.optimizer},
                       {"step_with_checkpointing", with.step},
                       {"step_without_checkpointing", without.step},
                       {"peak", plan.peak},
                       {"images", options.image_tiles.size()},
                       {"most_tokens", tokens}};
        if (memory_gb > 0.0) answer["largest_micro_batch"] = largest;
        print_text(answer.dump() + "\n");
        return 0;
    }
    print_text(str(plan.parameters, " parameters, ", plan.trainable, " trainable; on each of ",
                   ranks, " ranks, ZeRO ", options.zero, ", ", dtype_name(options.dtype),
                   ", micro-batches of ", options.sequences, " x ", options.length,
                   " positions with ", options.image_tiles.size(), " images:\n"));
    print_bytes("weights (without blocks divided by ZeRO 3)", plan.weights);
    print_bytes("optimizer state and gradient sums", plan.optimizer);
    print_bytes("activations, gradients and buckets", plan.step);
    print_bytes("  with activation checkpointing", with.step);
    print_bytes("  without activation checkpointing", without.step);
    print_bytes("peak", plan.peak);
    print_row("positions per step, at most", str("   ", tokens));
    if (memory_gb > 0.0)
        print_row("largest train.micro_batch that fits",
                  largest > 0 ? str("   ", largest) : "   none");
    return 0;
}

}  // namespace vila::tools
