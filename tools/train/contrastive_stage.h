#pragma once

// Stage clip: a vision tower learns from images with captions, together with a small text tower
// that is discarded afterwards (models/clip.h). The loss compares all pairs of the global batch, so
// each rank runs one micro-batch per step; train.micro_batch and data.pack have no effect.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/clip.h"
#include "tools/train/recipe_model.h"
#include "tools/train/stage.h"

namespace vila::tools {

class ContrastiveStage final : public Stage {
  public:
    ContrastiveStage(const Recipe& recipe, const std::filesystem::path& tokenizer_directory,
                     dist::Collectives& ranks, Device& device);

    std::vector<ParameterGroup> groups() override;
    StepResult accumulate(const data::StepBatch& batch, const StepContext& step) override;
    void after_update() override { model_->cap_temperature(); }
    void save(const std::filesystem::path& directory) override;
    data::TemplateContext context() const override { return {*tokenizer_, chat_}; }
    data::ImageLoader image_loader() override;
    data::ImageTokens image_tokens() override;
    double sample_cost(int64_t positions, int64_t) const override {
        return static_cast<double>(positions);
    }
    bool needs_whole_batch() const override { return true; }
    uint64_t frozen_hash() override { return 0; }

  private:
    // Gathers the embeddings of all ranks, computes the loss of all pairs on every rank, and runs
    // backward through this rank's own embeddings. Returns the loss.
    double backward_over_ranks(const models::ClipBatch& pairs);
    double step_flops(int64_t pairs, int64_t text_rows) const;

    Recipe recipe_;
    dist::Collectives& ranks_;
    std::unique_ptr<data::Tokenizer> tokenizer_;
    data::ChatTemplate chat_;
    std::unique_ptr<models::ClipModel> model_;
    data::ImageProcessor processor_;
};

}  // namespace vila::tools
