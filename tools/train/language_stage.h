#pragma once

// Stages lm, align, pretrain and sft: the vision language model learns to predict the next token of
// samples with or without images. Any of its three parts may be frozen. The features of a frozen
// vision tower are computed once per image (feature_cache.h).

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/image/image_processor.h"
#include "tools/base/flops.h"
#include "tools/train/feature_cache.h"
#include "tools/train/recipe_model.h"
#include "tools/train/stage.h"

namespace vila::tools {

class LanguageStage final : public Stage {
  public:
    // `run` is the run directory; the tokenizer's files are in `tokenizer_directory`. Each rank
    // caches the features of its own images.
    LanguageStage(const Recipe& recipe, const std::filesystem::path& run,
                  const std::filesystem::path& tokenizer_directory, int64_t rank, Device& device,
                  const std::function<void(const std::string& line)>& warn);

    std::vector<ParameterGroup> groups() override;
    StepResult accumulate(const data::StepBatch& batch, const StepContext& step) override;
    void set_block_hook(nn::BlockHook* hook) override { model_->set_block_hook(hook); }
    void save(const std::filesystem::path& directory) override;
    data::TemplateContext context() const override { return {*tokenizer_, chat_}; }
    data::ImageLoader image_loader() override;
    int64_t image_tokens() const override;
    double sample_cost(int64_t positions, int64_t images) const override;
    uint64_t frozen_hash() override;

    const models::VilaModel& model() const { return *model_; }

  private:
    // Copies a micro-batch to the device, and adds its lengths and images to `work`.
    models::Batch prepare(const data::MicroBatch& micro, StepWork& work);
    void open_feature_cache(int64_t rank, const std::function<void(const std::string& line)>& warn);
    // Returns the images of a micro-batch in order: pixels, or features if the tower is frozen.
    std::vector<data::LoadedImage> load_images(const data::MicroBatch& micro);
    // Runs the frozen tower on one image. One image per call gives the same bits for an image
    // whatever else is in the batch.
    data::LoadedImage encode(const data::LoadedImage& pixels);
    // Returns the cached result of encode(), or calls it.
    data::LoadedImage features_of(const data::ImageRef& image, const data::LoadedImage& loaded);
    // Adds the losses of a micro-batch's rows to their sources. Waits for the device.
    void add_losses(const data::MicroBatch& micro, const Tensor& row_losses, StepResult& result);

    Recipe recipe_;
    std::filesystem::path run_, tokenizer_directory_;
    std::unique_ptr<data::Tokenizer> tokenizer_;
    data::ChatTemplate chat_;
    std::unique_ptr<models::VilaModel> model_;
    std::optional<data::ImageProcessor> processor_;
    std::optional<FlopCounter> flops_;
    std::unique_ptr<FeatureCache> cache_;  // null: features are computed every time
    int64_t encoded_images_ = 0;           // calls of encode() in the current step
};

}  // namespace vila::tools
