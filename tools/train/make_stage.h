#pragma once

// From a recipe to the stage that trains it.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "dist/collectives.h"
#include "tools/train/recipe.h"
#include "tools/train/stage.h"

namespace vila::tools {

// `run` is the run directory, `tokenizer` the folder of the tokenizer's files; `ranks` must outlive
// the stage. `warn` is told, one line each, of what is not as it should be.
std::unique_ptr<Stage> make_stage(const Recipe& recipe, const std::filesystem::path& run,
                                  const std::filesystem::path& tokenizer, dist::Collectives& ranks,
                                  Device& device,
                                  const std::function<void(const std::string& line)>& warn);

}  // namespace vila::tools
