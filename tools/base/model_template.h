#pragma once

// The chat template of a model directory.

#include <filesystem>
#include <optional>
#include <string>

#include "data/text/chat_template.h"
#include "models/model_directory.h"

namespace vila::tools {

// Returns the template that the model's config.json names; else the one published with its
// tokenizer; else the usual one of its layout; else "none", which passes text on as it is.
data::ChatTemplate model_template(const models::ModelDirectory& directory,
                                  const models::VilaConfig& config);

// Returns whether there is a named template `name`.
bool is_template_name(const std::string& name);
// Returns the template `name`: a named one, or the Jinja source in a file of that name, with the
// special tokens of the model. Throws Error if there is neither.
data::ChatTemplate find_template(const std::string& name, const models::ModelDirectory& directory);
// Returns the template whose Jinja source is in `file`, with the special tokens of the tokenizer in
// `llm`, or without any if `llm` is empty. The template may mark an image by the token with the id
// `image_token` instead of <image>.
data::ChatTemplate read_template(const std::string& file, const std::filesystem::path& llm,
                                 std::optional<int32_t> image_token);
// Returns the token id of images that the model's config.json gives in image_token_index or
// image_token_id, if any.
std::optional<int32_t> image_token_id(const models::ModelDirectory& directory);

}  // namespace vila::tools
