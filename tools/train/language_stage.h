#pragma once

// Stages lm, align, pretrain and sft: the vision language model learns to predict the next token of
// samples with or without images (training_images.h). Any of its three parts may be frozen.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/base/flops.h"
#include "tools/train/feature_cache.h"
#include "tools/train/recipe_model.h"
#include "tools/train/stage.h"
#include "tools/train/training_images.h"

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
    data::ImageTokens image_tokens() override;
    double sample_cost(int64_t positions, int64_t image_positions) const override;
    uint64_t frozen_hash() override;

    const models::VilaModel& model() const { return *model_; }

  private:
    // Copies a micro-batch to the device, and adds its lengths and images to `work`.
    models::Batch prepare(const data::MicroBatch& micro, StepWork& work);
    std::unique_ptr<FeatureCache> open_feature_cache(
        const data::ImageProcessor& processor, int64_t rank,
        const std::function<void(const std::string& line)>& warn) const;
    // Adds the losses of a micro-batch's rows to their sources. Waits for the device.
    void add_losses(const data::MicroBatch& micro, const Tensor& row_losses, StepResult& result);

    Recipe recipe_;
    std::filesystem::path run_, tokenizer_directory_;
    std::unique_ptr<data::Tokenizer> tokenizer_;
    data::ChatTemplate chat_;
    std::unique_ptr<models::VilaModel> model_;
    models::PartFiles unchanged_;           // what save() copies
    bool trains_tower_;                     // whether any weight of the vision tower is trained
    std::optional<TrainingImages> images_;  // none without a vision tower
    std::optional<FlopCounter> flops_;
};

}  // namespace vila::tools
