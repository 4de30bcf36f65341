#pragma once

// Writing a model in another of the layouts in which models are published (models/layout.h).
// Tensors are copied as they are stored, or converted to one dtype; configurations keep the fields
// that a reader of the new layout knows. What the new layout cannot say is refused by name.

#include <optional>
#include <string>
#include <vector>

#include "models/layout.h"

namespace vila::models {

struct ConvertOptions {
    std::string layout = "vila";      // "vila", "llava" or "llava-hf"
    std::optional<DType> dtype = {};  // of every floating tensor; as stored if not given
    std::optional<int32_t> image_token =
        {};  // llava-hf: the id that stands for an image in a prompt
    std::optional<int64_t> image_size = {};  // resizes the tower's positions to this many pixels
                                             // a side
    // Names of the files beside the language model, such as the tokenizer, that are copied where
    // they exist.
    std::vector<std::string> companion_files = {};
};

// Writes the model of `source` to a new directory. Throws, and leaves nothing behind, when the
// destination is not new, when the source is not whole, or when the layout cannot hold it.
void convert_model(const Layout& source, const std::filesystem::path& destination, Device& device,
                   const ConvertOptions& options);

}  // namespace vila::models
