#pragma once

// What the training loop needs to know of a stage: which parameters learn, how a step's samples
// become gradients, and what is written at the end. LanguageStage (lm, align, pretrain, sft) and
// ContrastiveStage (clip) are the two there are.

#include <filesystem>
#include <string>
#include <vector>

#include "data/loader.h"
#include "nn/parameter.h"

namespace vila::tools {

// Parameters that share a learning rate.
struct ParameterGroup {
    std::string name;  // "llm": in front of the names in checkpoints
    std::vector<nn::Parameter*> parameters;
    double lr = 0.0;  // at the top of the schedule
};

// Loss of the samples of one source.
struct SourceLoss {
    double sum = 0.0;
    int64_t count = 0;  // loss-bearing tokens (clip: pairs)
};

struct StepResult {
    double loss = 0.0;  // mean over everything that bears loss in the global batch
    std::vector<SourceLoss> sources;
    double flops = 0.0;  // floating-point operations of forward and backward, by flops.h
};

class Stage {
  public:
    virtual ~Stage() = default;

    // Every parameter that learns, in an order that depends on the model alone.
    virtual std::vector<ParameterGroup> groups() = 0;
    // Adds the gradient of the mean loss of this step to the parameters.
    virtual StepResult accumulate(const data::StepBatch& batch) = 0;
    // Called after every update of the weights, and after a checkpoint was loaded.
    virtual void after_update() {}
    // Writes the finished model directory.
    virtual void save(const std::filesystem::path& directory) = 0;

    // How samples are made: see data::Loader.
    virtual data::TemplateContext context() const = 0;
    virtual data::ImageLoader image_loader() = 0;
    virtual int64_t image_tokens() const = 0;
    // Whether all samples of a step must be in one micro-batch.
    virtual bool needs_whole_batch() const { return false; }
    // Hash of all weights that must not change.
    virtual uint64_t frozen_hash() = 0;
};

// Hash of the names and values of the parameters that do not learn.
uint64_t hash_frozen(const nn::ParameterTable& table);

}  // namespace vila::tools
