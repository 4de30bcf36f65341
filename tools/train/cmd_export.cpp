// vila export CHECKPOINT DST: writes the model directory of a run as of one of its checkpoints. Any
// number of ranks and any ZeRO stage may have written the checkpoint. The run may be training.

#include <cstdio>

#include "tensor/cpu/cpu_device.h"
#include "tensor/output_path.h"
#include "tensor/path_kind.h"
#include "tools/base/hash64.h"
#include "tools/base/output_guard.h"
#include "tools/base/progress.h"
#include "tools/commands.h"
#include "tools/train/checkpoint.h"
#include "tools/train/recipe_model.h"
#include "tools/train/run_directory.h"
#include "tools/train/stage.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// Returns RUN for RUN/checkpoints/step-N.
fs::path run_directory_of(const fs::path& checkpoint) {
    VILA_CHECK(path_exists(checkpoint), checkpoint.string(), ": does not exist");
    const fs::path run = fs::absolute(checkpoint).lexically_normal().parent_path().parent_path();
    VILA_CHECK(fs::exists(run / "recipe.toml"), checkpoint.string(),
               ": expected RUN/checkpoints/step-N of a run with its recipe.toml");
    return run;
}

void restore_weights(const Checkpoint& checkpoint, const std::vector<ParameterGroup>& groups) {
    int64_t total = 0, done = 0;
    for (const ParameterGroup& group : groups)
        total += static_cast<int64_t>(group.parameters.size());
    Progress progress("weights", total);
    for (const ParameterGroup& group : groups)
        for (const nn::Parameter* parameter : group.parameters) {
            if (parameter->trainable())
                parameter->variable.value().copy_from(
                    checkpoint.tensor(group.name + "/master/" + parameter->name));
            progress.count(++done);
        }
}

}  // namespace

int cmd_export(Args& args) {
    fs::path source, destination;
    args.positional("CHECKPOINT", source, "checkpoint directory, RUN/checkpoints/step-N");
    args.positional("DST", destination, "model directory to write");
    args.parse();
    while (source.filename().empty() && source.has_parent_path()) source = source.parent_path();
    const RunDirectory run(run_directory_of(source), false);
    const OutputGuard output("DST", destination);
    output.check_input("CHECKPOINT", source);
    output.check_input("the run", run.root());
    check_output_directory(destination);

    const auto device = make_cpu_device();
    Recipe recipe = load_recipe(run.recipe().string(), {});
    recipe.train.cache_features = false;  // nothing is written into the run
    const fs::path tokenizer = tokenizer_directory(recipe.model).value_or(run.tokenizer());
    const auto alone = dist::one_process();
    const auto stage =
        make_stage(recipe, run.root(), tokenizer, *alone, *device,
                   [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); });
    const Checkpoint checkpoint = load_checkpoint(source, *device);
    VILA_CHECK(checkpoint.info.at("frozen_weights") == hash_text(stage->frozen_hash()),
               "the frozen weights are not those the run began with; was model.init replaced?");
    restore_weights(checkpoint, stage->groups());
    stage->save(destination);
    std::fprintf(stderr, "step %lld: %s\n", static_cast<long long>(checkpoint.step),
                 destination.c_str());
    return 0;
}

}  // namespace vila::tools
