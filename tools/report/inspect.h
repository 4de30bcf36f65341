#pragma once

// Descriptions of what lies on disk: safetensors files, model directories, checkpoints.

#include <filesystem>
#include <string>

namespace vila::tools {

// One line per tensor: name, dtype, shape, bytes; then totals and metadata.
std::string describe_safetensors(const std::filesystem::path& file);

// The parts of a model directory with their main figures and parameter counts.
std::string describe_model(const std::filesystem::path& directory);

// A checkpoint's step, files and tensors, from its manifest. With `verify` every byte is read and
// compared with its hash; throws at the first damage.
std::string describe_checkpoint(const std::filesystem::path& directory, bool verify);

}  // namespace vila::tools
