#pragma once

// LoadedModel: a model directory, opened for inference: weights, tokenizer, chat template, image
// processor, and a PromptBuilder that uses them.

#include <filesystem>
#include <memory>
#include <string>

#include "data/image/image_processor.h"
#include "data/text/tokenizer.h"
#include "models/model_directory.h"
#include "models/vila.h"
#include "tensor/read_ahead.h"
#include "tools/base/args.h"
#include "tools/run/prompt_builder.h"

namespace vila::tools {

// Returns the image processor of a model's vision tower for an image mode (crop, pad or resize).
data::ImageProcessor open_image_processor(const models::ModelDirectory& directory,
                                          const std::string& image_mode);

// Throws if weights converted to `dtype` need more bytes than the machine has (`present`). Without
// this check the system would kill the process while it loads them.
void check_memory(const std::filesystem::path& directory, DType dtype, int64_t needed,
                  int64_t present);

class LoadedModel {
  public:
    // Loads a model directory onto the device of `options`. The directory may hold a language model
    // alone; prompts with images then throw. If the model's own chat template cannot be used, only
    // conversations that need it throw.
    LoadedModel(const std::filesystem::path& directory, const CommonOptions& options);

    const models::ModelDirectory& directory() const { return directory_; }
    Device& device() const { return *device_; }
    const models::VilaModel& model() const { return *model_; }
    const data::Tokenizer& tokenizer() const { return *tokenizer_; }
    const PromptBuilder& prompts() const { return prompts_; }
    PromptBuilder& prompts() { return prompts_; }

  private:
    models::ModelDirectory directory_;
    std::unique_ptr<Device> device_;
    std::unique_ptr<models::VilaModel> model_;
    std::unique_ptr<ReadAhead> read_ahead_;  // reads the mapped weights of model_
    std::unique_ptr<data::Tokenizer> tokenizer_;
    PromptBuilder prompts_;
};

}  // namespace vila::tools
