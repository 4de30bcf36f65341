#pragma once

// A training recipe: the stage, model, data, optimizer and schedule of one run. It is read from
// TOML with key=value overrides, checked, and written back so that the copy in the run directory
// can be run again. recipe_keys.cpp declares every key once (name, type, range, help); parsing,
// printing and `vila train --help` read that list.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/base/toml_document.h"
#include "tools/train/stage_kind.h"

namespace vila::tools {

// One data source, [[data.sources]].
struct SourceRecipe {
    std::string name;    // in logs; the stem of `path` if not given
    std::string format;  // one of data::dataset_format_names()
    std::string path;
    std::string images;                   // folder; empty: the folder of `path`
    double weight = 1.0;                  // share of the samples, relative to the other sources
    int64_t max_images = 6;               // of an mmc4 document
    std::string missing_image = "error";  // one of data::missing_image_names()
};

struct ModelRecipe {
    std::string file;  // of the recipe, for messages; empty if it was not read from a file
    std::string init;  // a model directory
    // Directories of single parts, which replace those of `init`.
    std::string llm, vision_tower, tokenizer;
    std::string projector;  // a projector directory, or the kind of a new projector
    // Configurations of new parts.
    Json llm_config, vision_config, preprocessor_config, tokenizer_config;
    std::optional<int64_t> select_layer;
    std::optional<std::string> select_feature, token_order;
};

// Parts to train. load_recipe() gives all three a value.
struct TrainableRecipe {
    std::optional<bool> llm, projector, vision_tower;
};

struct DataRecipe {
    std::vector<SourceRecipe> sources;
    int64_t max_length = 2048;  // text and image positions of one sample
    bool pack = true;
    double max_bad_share = 0.01;  // a larger share of unusable records stops the run
    double random_crop = 1.0;  // smallest share of an image's side that a crop keeps; 1: no crops
    std::optional<std::string> image_mode, chat_template;
};

struct OptimizerRecipe {
    double lr = 1e-4;
    std::optional<double> projector_lr, vision_tower_lr;
    double weight_decay = 0.0;
    std::array<double, 2> betas = {0.9, 0.999};
    double eps = 1e-8;
    double clip_norm = 1.0;  // 0: off
};

struct ScheduleRecipe {
    double warmup_ratio = 0.03;  // of all steps
    std::string decay = "cosine";
};

struct TrainRecipe {
    std::optional<double> epochs;
    std::optional<int64_t> steps;
    int64_t global_batch = 128;  // samples per optimizer step, over all ranks and micro-batches
    int64_t micro_batch = 4;     // samples per forward pass; with data.pack, rows of max_length
    std::string dtype = "bf16";
    bool activation_checkpointing = true;
    int64_t zero = 2;  // ZeRO stage
    bool rank_invariant = false;
    bool overlap = true;
    int64_t save_every = 500;
    int64_t keep = 2;
    bool async_save = false;
    double setup_limit = 600.0, step_limit = 0.0, save_limit = 900.0;  // seconds
    int64_t seed = 1;
    int64_t max_bad_steps = 10;
    bool cache_features = true;
    double feature_cache_gb = 4.0;
};

struct Recipe {
    std::optional<StageKind> stage;  // load_recipe() gives it a value
    ModelRecipe model;
    TrainableRecipe trainable;
    DataRecipe data;
    OptimizerRecipe optimizer;
    ScheduleRecipe schedule;
    TrainRecipe train;
};

// The parts that a loaded recipe trains.
models::Trainable trainable_parts(const Recipe& recipe);

// Reads and checks a recipe. Relative paths, also those in overrides, are relative to the folder of
// the recipe file and are made absolute. Throws Error with file and line for unknown keys (with the
// nearest known one), wrong types, values out of range and missing keys.
Recipe load_recipe(const std::string& file, const std::vector<std::string>& overrides);
// Returns the whole recipe as TOML, defaults included. load_recipe() reads it back unchanged.
std::string recipe_text(const Recipe& recipe);
// Returns the name, type, default and help of every key, for --help.
std::string recipe_help();
// Returns one line per key in which two recipes differ, with both values. Leaves out keys that may
// change on resuming (how often to save, how much to keep in memory).
std::vector<std::string> recipe_differences(const Recipe& before, const Recipe& now);

// Returns the keys that may not change on resuming, each with its value or null, except absolute
// paths: a run may move together with its files.
Json lasting_values(const Recipe& recipe);

}  // namespace vila::tools
