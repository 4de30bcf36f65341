#pragma once

// Finds missing and damaged files in the model directory of a finished run.

#include <filesystem>
#include <string>
#include <vector>

namespace vila::tools {

// Returns the names of all files in a folder, relative to it and sorted.
std::vector<std::string> files_below(const std::filesystem::path& folder);

// Returns what is missing or damaged in a model directory, or an empty string: each of `files` is
// there, and the weight files have the sizes that their headers announce.
std::string model_damage(const std::filesystem::path& model, const std::vector<std::string>& files);

}  // namespace vila::tools
