#pragma once

// From a recipe's [model] table to a model with values: parts from directories, new parts from
// their configurations, what joins them, and the tokenizer and image preprocessing that belong to
// them.

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/image/image_processor.h"
#include "data/text/chat_template.h"
#include "data/text/tokenizer.h"
#include "models/model_directory.h"
#include "models/vila.h"
#include "tools/train/recipe.h"

namespace vila::tools {

// Where the tokenizer's files are: model.tokenizer, else those of model.llm or model.init; none
// when a tokenizer is to be trained.
std::optional<std::filesystem::path> tokenizer_directory(const ModelRecipe& recipe);

// data.template, else that of model.init, else "plain" for align and "vicuna_v1" for the rest.
std::string chat_template_name(const Recipe& recipe);

// How images become pixels: model.preprocessor_config, else preprocessor_config.json beside the
// vision tower, else the statistics of the tower's family. `image_mode` as in the recipe.
data::ImageProcessor make_image_processor(const Recipe& recipe, const models::VisionConfig& vision,
                                          const std::string& image_mode);

// What make_recipe_model() builds, from configurations alone. For a tokenizer that is to be
// trained, the size that the recipe gives it.
models::VilaConfig recipe_model_config(const Recipe& recipe);

// The model of stages lm, align, pretrain and sft. Weights of new parts are a pure function of
// train.seed. Throws when parts are missing or do not fit, naming the keys.
std::unique_ptr<models::VilaModel> make_recipe_model(const Recipe& recipe,
                                                     const data::Tokenizer& tokenizer,
                                                     Device& device);

// The vision tower of stage clip: model.vision_tower, model.vision_config or the tower of
// model.init. Nothing is loaded here.
models::VisionConfig recipe_vision_config(const ModelRecipe& recipe);

// Tokenizer files as they are in `directory`, under `prefix` of a model directory.
std::vector<models::ExtraFile> tokenizer_files(const std::filesystem::path& directory,
                                               const std::string& prefix);
// preprocessor_config.json, under `prefix`; `scratch` is a folder it may be made in.
models::ExtraFile preprocessor_file(const data::ImageProcessorConfig& config,
                                    const std::string& prefix,
                                    const std::filesystem::path& scratch);

}  // namespace vila::tools
