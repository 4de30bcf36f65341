#pragma once

// The data of a recipe: its sources, the number of steps, and the loader that makes batches.

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

// The dataset that a source of a recipe names.
data::DatasetSource dataset_source(const SourceRecipe& source);

using Datasets = std::vector<std::unique_ptr<data::Dataset>>;

// Opens the dataset of each source. Throws if one cannot be read.
Datasets open_sources(const Recipe& recipe);

// Throws if train.global_batch would repeat the records of all sources absurdly often in one step,
// whose list of samples would fill the memory.
void check_global_batch(const Recipe& recipe, const Datasets& datasets);

// Number of steps of the run: train.steps, or train.epochs times the records of all sources divided
// by the global batch.
int64_t total_steps(const Recipe& recipe, const Datasets& datasets);

// Makes the loader of this rank's batches from `start_step` on. The arguments must outlive it. Bad
// samples are reported to `progress`.
void make_loader(const Recipe& recipe, const Datasets& datasets, Stage& stage,
                 const dist::Collectives& ranks, int64_t start_step, const Device& device,
                 Progress& progress, std::optional<data::Loader>& loader);

}  // namespace vila::tools
