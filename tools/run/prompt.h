#pragma once

// Prompt: the input of a model. PromptImage: an image for a prompt.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/loader/loader.h"
#include "data/sample.h"
#include "models/batch.h"

namespace vila::tools {

// An encoded image (JPEG, PNG, ...): a file, a part of a file, or bytes in memory.
class PromptImage {
  public:
    explicit PromptImage(data::ImageRef file) : file_(std::move(file)) {}
    // `name` is the name of the image in error messages.
    PromptImage(std::shared_ptr<const std::vector<uint8_t>> encoded, std::string name)
        : encoded_(std::move(encoded)), name_(std::move(name)) {}

    // Returns the encoded bytes. Throws if the file cannot be read or is too large.
    std::shared_ptr<const std::vector<uint8_t>> encoded() const;
    // The name for error messages: "photo.jpg", or "shard.tar at byte 1536".
    std::string name() const;

  private:
    data::ImageRef file_;
    std::shared_ptr<const std::vector<uint8_t>> encoded_;  // null for a file
    std::string name_;
};

// Returns an image for each file, in the same order.
std::vector<PromptImage> image_files(const std::vector<std::string>& paths);

// The input of the model: token ids with a placeholder for each image, and the images' features
// from the vision tower.
struct Prompt {
    std::vector<int32_t> ids;     // (T), kImageToken for each image
    std::vector<int32_t> labels;  // (T), or empty if nothing is scored
    std::vector<std::shared_ptr<const data::LoadedImage>> images;  // features (N, Cv)

    // Returns a view of this prompt, which must outlive the view.
    models::Sequence view() const;
    // Returns the number of positions that the prompt takes, with its images expanded.
    int64_t positions() const;
};

}  // namespace vila::tools
