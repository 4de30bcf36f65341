#pragma once

// Descriptions of safetensors files, model directories and checkpoints, for `vila inspect`.

#include <filesystem>
#include <string>

namespace vila::tools {

// Returns whether a file begins as a safetensors file: the length of its header, then the header.
bool is_safetensors(const std::filesystem::path& file);

// One line per tensor: name, dtype, shape, bytes; then totals and metadata.
std::string describe_safetensors(const std::filesystem::path& file);

// The parts of a model directory, or a vision tower or a projector alone, with their sizes and
// parameter counts. Reads no weights, only the headers of their files; throws as
// ModelDirectory::load does if one is missing or has another shape. A chat template that cannot be
// used is described as such.
std::string describe_model(const std::filesystem::path& directory);

// The manifest of a checkpoint: step, files, number of tensors. With `verify`, reads every byte and
// compares it with its hash; throws at the first damage.
std::string describe_checkpoint(const std::filesystem::path& directory, bool verify);

}  // namespace vila::tools
