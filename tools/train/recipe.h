#pragma once

// A training recipe: what one run trains, on what, and how. Read from TOML with key=value
// overrides, checked, and written back so that the copy in the run directory can be run again.
// recipe.cpp declares every key once: name, type, range, help; parsing, `vila train --help` and
// printing walk that list.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/base/toml_document.h"

namespace vila::tools {

// One data source, [[data.sources]].
struct SourceRecipe {
    std::string name;    // in logs; from the file name when not given
    std::string format;  // one of data::dataset_format_names()
    std::string path;
    std::string images;   // folder; empty: beside the file
    double weight = 1.0;  // share of samples
    int64_t max_images = 6;
};

struct ModelRecipe {
    std::string init;  // a model directory
    // Parts, each a directory; they replace those of `init`.
    std::string llm, vision_tower, tokenizer;
    std::string projector;  // a projector directory or the name of a new one
    Json llm_config, vision_config, preprocessor_config, tokenizer_config;
    std::optional<int64_t> select_layer;
    std::optional<std::string> select_feature, token_order;
};

struct TrainableRecipe {
    std::optional<bool> llm, projector, vision_tower;
};

struct DataRecipe {
    std::vector<SourceRecipe> sources;
    int64_t max_length = 2048;  // text and image positions of one sample
    bool pack = true;
    double random_crop = 1.0;  // least share of an image's sides that is shown; 1: whole images
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
    int64_t global_batch = 128;  // samples a step, over all ranks and accumulation
    int64_t micro_batch = 4;     // samples a forward pass, or that many max_length when packing
    std::string dtype = "bf16";
    bool activation_checkpointing = true;
    int64_t zero = 2;
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
    std::string stage;  // lm | clip | align | pretrain | sft
    ModelRecipe model;
    TrainableRecipe trainable;
    DataRecipe data;
    OptimizerRecipe optimizer;
    ScheduleRecipe schedule;
    TrainRecipe train;
};

// Reads and checks a recipe. Paths are made absolute: relative ones are relative to the folder of
// the recipe file, in overrides too. Throws Error with file and line for unknown keys (naming the
// nearest), wrong types, values out of range, missing keys.
Recipe load_recipe(const std::string& file, const std::vector<std::string>& overrides);
// The whole recipe as TOML, defaults included; load_recipe() on it gives the same recipe.
std::string recipe_text(const Recipe& recipe);
// One line per key: name, type, default, help; for --help.
std::string recipe_help();
// Names of the keys in which two recipes differ, with both values, save those that change nothing
// in the result of a run (how often to save, how much to keep in memory).
std::vector<std::string> recipe_differences(const Recipe& before, const Recipe& now);

}  // namespace vila::tools
