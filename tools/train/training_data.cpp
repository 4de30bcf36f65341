#include "tools/train/training_data.h"

#include <algorithm>
#include <thread>

#include "tensor/cpu/cpu_device.h"
#include "tools/train/recipe_limits.h"

namespace vila::tools {

namespace {

// CPU threads that this run may use.
int host_threads(const Device& device) {
    return device.kind() == DeviceKind::Cpu ? static_cast<const CpuDevice&>(device).threads()
                                            : static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

data::DatasetSource dataset_source(const SourceRecipe& source) {
    return {.format = source.format,
            .path = source.path,
            .images = source.images,
            .max_images = source.max_images,
            .missing_image = data::missing_image_named(source.missing_image)};
}

Datasets open_sources(const Recipe& recipe) {
    Datasets datasets;
    for (const SourceRecipe& source : recipe.data.sources)
        datasets.push_back(data::open_dataset(dataset_source(source)));
    return datasets;
}

void check_global_batch(const Recipe& recipe, const Datasets& datasets) {
    constexpr int64_t kMostRepetitions = 1000;
    int64_t records = 0;
    for (const auto& dataset : datasets) records += dataset->size();
    VILA_CHECK(recipe.train.global_batch / kMostRepetitions <= records, "train.global_batch is ",
               recipe.train.global_batch, ", more than ", kMostRepetitions, " times the ", records,
               " records of all sources; lower it");
}

int64_t total_steps(const Recipe& recipe, const Datasets& datasets) {
    if (recipe.train.steps) return *recipe.train.steps;
    double records = 0.0;
    for (const auto& dataset : datasets) records += static_cast<double>(dataset->size());
    const double steps =
        *recipe.train.epochs * records / static_cast<double>(recipe.train.global_batch);
    VILA_CHECK(steps <= static_cast<double>(kMostTotalSteps), "train.epochs ", *recipe.train.epochs,
               " of ", records, " records are ", steps, " steps: expected at most ",
               kMostTotalSteps);
    return std::max<int64_t>(1, static_cast<int64_t>(steps));
}

void make_loader(const Recipe& recipe, const Datasets& datasets, Stage& stage,
                 const dist::Collectives& ranks, int64_t start_step, const Device& device,
                 Progress& progress, std::optional<data::Loader>& loader) {
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
    options.micro_batch = stage.needs_whole_batch() ? recipe.train.global_batch / ranks.ranks()
                                                    : recipe.train.micro_batch;
    options.pack = recipe.data.pack && !stage.needs_whole_batch();
    options.max_bad_share = recipe.data.max_bad_share;
    options.seed = static_cast<uint64_t>(recipe.train.seed);
    options.start_step = start_step;
    options.cost = [&stage](int64_t positions, int64_t image_positions) {
        return stage.sample_cost(positions, image_positions);
    };
    options.rank = ranks.rank();
    options.ranks = ranks.ranks();
    options.rank_invariant = recipe.train.rank_invariant;
    // Loader threads wait most of the time, so half as many as cores are enough.
    options.threads = std::max(1, host_threads(device) / 2);
    options.on_bad_sample = [&progress](const data::BadSample& bad) {
        progress.say(str("bad sample ", bad.where, ": ", bad.reason, "; replaced"));
    };
    loader.emplace(views, weights, stage.context(), stage.image_loader(), options);
}

}  // namespace vila::tools
