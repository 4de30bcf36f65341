#pragma once

// The data that a recipe names: its sources, how many steps they make, and the loader that turns
// them into batches.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/loader/loader.h"
#include "data/records/dataset.h"
#include "dist/collectives.h"
#include "tools/base/progress.h"
#include "tools/train/recipe.h"
#include "tools/train/stage.h"

namespace vila::tools {

using Datasets = std::vector<std::unique_ptr<data::Dataset>>;

// One data set a source; throws when one cannot be read.
Datasets open_sources(const Recipe& recipe);

// The steps a run takes; an epoch has as many samples as there are records.
int64_t total_steps(const Recipe& recipe, const Datasets& datasets);

// Makes `loader` give this rank's batches from `start_step` on. What it is given must outlive it;
// `progress` is told of samples that cannot be used.
void make_loader(const Recipe& recipe, const Datasets& datasets, Stage& stage,
                 const dist::Collectives& ranks, int64_t start_step, const Device& device,
                 Progress& progress, std::optional<data::Loader>& loader);

}  // namespace vila::tools
