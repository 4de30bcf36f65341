#pragma once

// The chat template of a model directory.

#include <filesystem>
#include <string>

#include "data/text/chat_template.h"
#include "models/config.h"

namespace vila::tools {

// Returns the template that the model's config.json names; else the one published with its
// tokenizer; else the usual one of its layout; else "none", which passes text on as it is.
data::ChatTemplate model_template(const std::filesystem::path& directory,
                                  const models::VilaConfig& config);

// Returns the template `name`: a named one, or the Jinja source in a file of that name, with the
// special tokens of the model in `directory`.
data::ChatTemplate find_template(const std::string& name, const std::filesystem::path& directory);

}  // namespace vila::tools
