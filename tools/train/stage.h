#pragma once

// What the training loop needs to know of a stage: which parameters learn, how a step's samples
// become gradients, and what is written at the end. LanguageStage (lm, align, pretrain, sft) and
// ContrastiveStage (clip) are the two there are.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/loader/loader.h"
#include "dist/exact_sum.h"
#include "nn/block_hook.h"
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
    dist::ExactSum sum;
    int64_t count = 0;  // loss-bearing tokens (clip: pairs)
};

// What a stage must know of a step beyond its own samples.
struct StepShare {
    int64_t targets = 0;  // loss-bearing tokens of the global batch
    std::function<void()> after_micro_batch;
};

// Of the samples of this rank.
struct StepResult {
    dist::ExactSum loss;  // summed over the ranks: the mean over what bears loss, times `of`
    double of = 1.0;      // the same on every rank
    std::vector<SourceLoss> sources;
    double flops = 0.0;  // floating-point operations of forward and backward, by flops.h
};

class Stage {
  public:
    virtual ~Stage() = default;

    // Every parameter that learns, in an order that depends on the model alone.
    virtual std::vector<ParameterGroup> groups() = 0;
    // Adds the gradient of the mean loss of this step to the parameters, micro-batch by
    // micro-batch.
    virtual StepResult accumulate(const data::StepBatch& batch, const StepShare& share) = 0;
    // Who is told around every use of a block's weights.
    virtual void set_block_hook(nn::BlockHook*) {}
    // Called after every update of the weights, and after a checkpoint was loaded.
    virtual void after_update() {}
    // Writes the finished model directory.
    virtual void save(const std::filesystem::path& directory) = 0;

    // How samples are made: see data::Loader.
    virtual data::TemplateContext context() const = 0;
    virtual data::ImageLoader image_loader() = 0;
    virtual int64_t image_tokens() const = 0;
    // Floating-point operations of a sample of so many positions, to share out work by.
    virtual double sample_cost(int64_t positions, int64_t images) const = 0;
    // Whether all samples of a step must be in one micro-batch.
    virtual bool needs_whole_batch() const { return false; }
    // Hash of all weights that must not change.
    virtual uint64_t frozen_hash() = 0;
};

// Hash of the names and values of the parameters that do not learn.
uint64_t hash_frozen(const nn::ParameterTable& table);

}  // namespace vila::tools
