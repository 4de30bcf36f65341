#pragma once

// Makes the model of a recipe's [model] table: loads parts from directories, initializes new parts
// from their configurations, joins them, and finds the tokenizer and image preprocessing that
// belong to them.

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

// Returns the directory of the tokenizer's files: model.tokenizer, otherwise that of model.llm or
// model.init; none if a tokenizer is to be trained.
std::optional<std::filesystem::path> tokenizer_directory(const ModelRecipe& recipe);

// Returns whether model.projector names a directory, not the kind of a new projector.
bool is_projector_directory(const std::string& projector);

// Returns data.template if it is given. A template from a file gets the special tokens of the
// tokenizer in the directory `tokenizer`, or none if that is empty.
std::optional<data::ChatTemplate> given_template(const Recipe& recipe,
                                                 const std::filesystem::path& tokenizer);
// Returns data.template, otherwise the template of model.init, otherwise that of the stage.
data::ChatTemplate recipe_template(const Recipe& recipe, const std::filesystem::path& tokenizer);

// Returns the image preprocessing: model.preprocessor_config, otherwise that in the directory of
// the vision tower, otherwise one with the mean and standard deviation of the tower's family.
// `image_mode` is a value of data.image_mode.
data::ImageProcessor make_image_processor(const Recipe& recipe, const models::VisionConfig& vision,
                                          const std::string& image_mode);

// Returns the configuration of make_recipe_model()'s model; reads no weights. The vocabulary of a
// tokenizer that is still to be trained has the size given in the recipe.
models::VilaConfig recipe_model_config(const Recipe& recipe);

// Makes the model of a stage with next-token loss. The weights of new parts are a pure function of
// train.seed. Throws Error with the recipe keys if parts are missing or do not fit together.
std::unique_ptr<models::VilaModel> make_recipe_model(const Recipe& recipe,
                                                     const data::Tokenizer& tokenizer,
                                                     const data::ChatTemplate& chat,
                                                     Device& device);

// Returns the configuration of the vision tower of stage clip: model.vision_tower,
// model.vision_config or the tower of model.init.
models::VisionConfig recipe_vision_config(const ModelRecipe& recipe);

// Reads the tokenizer files in `directory`, for a model directory that has them under `prefix`.
std::vector<models::ExtraFile> tokenizer_files(const std::filesystem::path& directory,
                                               const std::string& prefix);
// Opens the files of the parts that the recipe loads and of which no weight is trained; a stage
// saves them as they are, whatever the dtype of training.
models::PartFiles open_unchanged_parts(const Recipe& recipe, const models::VilaModel& model);

}  // namespace vila::tools
