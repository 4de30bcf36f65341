#pragma once

// Writes a model in another of the published layouts (models/layout.h). Tensors are copied as they
// are stored, or converted to one dtype. Configurations keep the fields that readers of the new
// layout know. Throws, with the reason, when the new layout cannot hold the model.

#include <optional>
#include <string>
#include <vector>

#include "models/layout.h"

namespace vila::models {

struct ConvertOptions {
    std::string layout = "vila";      // "vila", "llava" or "llava-hf"
    std::optional<DType> dtype = {};  // of every tensor; by default each keeps its own
    // llava-hf: the id that stands for an image in a prompt.
    std::optional<int32_t> image_token = {};
    // Resizes the tower's position embeddings for square images of this many pixels a side.
    std::optional<int64_t> image_size = {};
    // Names of the files beside the language model, such as the tokenizer, that are copied where
    // they exist.
    std::vector<std::string> companion_files = {};
};

// Writes the model of `source` to a new or empty directory. Throws, and leaves no files, when the
// destination holds anything, when the source is incomplete, or when the layout cannot hold the
// model.
void convert_model(const Layout& source, const std::filesystem::path& destination, Device& device,
                   const ConvertOptions& options);

}  // namespace vila::models
