#pragma once

// Writes a model in another of the published layouts (models/layout.h). Tensors keep their stored
// dtype or are converted to a given one. Configurations keep the fields that readers of the new
// layout know.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/layout.h"

namespace vila::models {

struct ConvertOptions {
    std::string layout = "vila";      // "vila", "llava" or "llava-hf"
    std::optional<DType> dtype = {};  // of every tensor; by default each keeps its own
    // For llava-hf: the token id that stands for an image in a prompt. By default that of the
    // source.
    std::optional<int32_t> image_token = {};
    // For llava-hf: returns the text of a token. Without it the image token is called <image>.
    std::function<std::string(int32_t id)> token_text = {};
    // If set, the tower's position embeddings are resized for square images with this many pixels
    // per side.
    std::optional<int64_t> image_size = {};
    // Files to copy, if they exist, from the directory of the language model, such as the
    // tokenizer.
    std::vector<std::string> companion_files = {};
    // Called while weights are written, with the bytes written so far and the total.
    std::function<void(int64_t done, int64_t total)> on_written = {};
};

// Writes the model of `source` to a new or empty directory. Throws, naming the reason and leaving
// no files, when the destination holds anything, the source is incomplete, or the layout cannot
// hold the model.
void convert_model(const Layout& source, const std::filesystem::path& destination, Device& device,
                   const ConvertOptions& options);

}  // namespace vila::models
