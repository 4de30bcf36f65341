#pragma once

// Requests to a model, one JSON object a line, as `vila score` and `vila generate --input` read
// them:
//   {"id": "a", "prompt": "raw text with <image>", "images": ["x.jpg"], "target": "continuation"}
//   {"id": "a", "messages": [{"role": "user", "content": "..."}], "images": [...]}
// Images are relative to the file of the requests; a target is labelled and optional.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/run/loaded_model.h"

namespace vila::tools {

// "id": text, or the JSON of what else it is; throws when it is missing.
std::string request_id(const nlohmann::json& request);
// What the model reads. `where` names the line in messages; throws on a request that is neither of
// the two.
Prompt request_prompt(const LoadedModel& loaded, const nlohmann::json& request,
                      const std::string& where, const std::filesystem::path& folder);

}  // namespace vila::tools
