#pragma once

// The facts that must be the same when a run is resumed. They are saved in the `info` of every
// checkpoint:
//     records, sources   of each data source: its records; the bytes and the time of its files, and
//                        a hash of their content if they are small
//     frozen_weights     a hash of the weights that are not trained
//     tokenizer          a hash of the tokenizer's files
//     recipe             the keys that may not change, except paths
// Checkpoints of earlier versions have only records and frozen_weights.

#include <cstdint>
#include <filesystem>
#include <string>

#include "tools/train/training_data.h"

namespace vila::tools {

// Returns the facts of a run that starts or resumes now.
Json run_facts(const Recipe& recipe, const Datasets& datasets,
               const std::filesystem::path& tokenizer, uint64_t frozen_weights);

// Returns the facts that all ranks of a job share. Copies of the data on several machines may have
// different times.
Json shared_facts(Json facts);

// Throws, with what was changed, unless the facts of the checkpoint `where` and those of now agree.
// A fact that the checkpoint lacks is not compared.
void check_facts(const Json& before, const Json& now, const std::string& where = "the checkpoint");

// The part of check_facts() that compares the keys of the recipe.
void check_recipe_fact(const Json& before, const Recipe& recipe, const std::string& where);

}  // namespace vila::tools
