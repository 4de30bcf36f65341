#pragma once

// Stage: the part of training that differs between the stages (stage_kind.h). A stage owns the
// model and the tokenizer, says how samples are prepared, turns the samples of a step into
// gradients, and saves the finished model. There are two: LanguageStage (lm, align, pretrain, sft)
// and ContrastiveStage (clip).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/loader/loader.h"
#include "dist/collectives.h"
#include "dist/exact_sum.h"
#include "nn/block_hook.h"
#include "nn/parameter.h"
#include "tools/train/recipe.h"

namespace vila::tools {

// Parameters that share a learning rate.
struct ParameterGroup {
    std::string name;  // "llm": prefix of their names in checkpoints
    std::vector<nn::Parameter*> parameters;
    double lr = 0.0;  // at the peak of the schedule
};

// Loss of the samples of one source.
struct SourceLoss {
    dist::ExactSum sum;
    int64_t count = 0;  // target tokens (clip: pairs)
};

// Arguments of accumulate() besides this rank's batch.
struct StepContext {
    int64_t targets = 0;                      // target tokens of the global batch
    std::function<void()> after_micro_batch;  // call after backward of each micro-batch
};

// This rank's share of a step. The mean loss of the global batch is the sum of `loss` over all
// ranks, divided by `loss_count`.
struct StepResult {
    dist::ExactSum loss;
    double loss_count = 1.0;          // equal on all ranks
    std::vector<SourceLoss> sources;  // in the order of the recipe; may be empty
    double flops = 0.0;               // of forward and backward, by tools/base/flops.h
};

class Stage {
  public:
    virtual ~Stage() = default;

    // --- optimization: called by the training loop on its own thread ---

    // Returns every trainable parameter once. The order depends only on the model.
    virtual std::vector<ParameterGroup> groups() = 0;
    // Runs forward and backward for every micro-batch of `batch` and adds to the parameters the
    // gradient of the mean loss of the global batch.
    virtual StepResult accumulate(const data::StepBatch& batch, const StepContext& context) = 0;
    // Sets the object that is notified before and after each use of a block's weights (ZeRO 3);
    // nullptr for none. Stages whose blocks cannot be divided ignore it.
    virtual void set_block_hook(nn::BlockHook*) {}
    // Called after every update of the weights and after a checkpoint was loaded.
    virtual void after_update() {}
    // Returns a hash of all weights that training must not change.
    virtual uint64_t frozen_hash() = 0;
    // Writes the finished model directory.
    virtual void save(const std::filesystem::path& directory) = 0;

    // --- samples: how the loader prepares them (data/loader/loader.h) ---

    // Returns the tokenizer and chat template, which live as long as the stage.
    virtual data::TemplateContext context() const = 0;
    // Returns the function that loads an image. Loader threads call it at the same time.
    virtual data::ImageLoader image_loader() = 0;
    // Returns the function that counts the positions that an image takes in a sample. Several
    // loader threads call that function at once.
    virtual data::ImageTokens image_tokens() = 0;
    // Estimates the floating-point operations of a sample with `positions` positions, of which
    // `image_positions` are those of images. The loader divides a batch among ranks by this cost.
    virtual double sample_cost(int64_t positions, int64_t image_positions) const = 0;
    // Whether a rank's samples of a step must form one micro-batch.
    virtual bool needs_whole_batch() const { return false; }
};

// Makes the stage of a recipe with its model on `device`. `run` is the run directory, `tokenizer`
// the directory of the tokenizer's files. `ranks` and `device` must outlive the stage. `warn` is
// called with one line per problem that does not stop the run.
std::unique_ptr<Stage> make_stage(const Recipe& recipe, const std::filesystem::path& run,
                                  const std::filesystem::path& tokenizer, dist::Collectives& ranks,
                                  Device& device,
                                  const std::function<void(const std::string& line)>& warn);

// Returns a hash of the names and values of the parameters that are not trainable.
uint64_t hash_frozen(const nn::ParameterTable& table);

}  // namespace vila::tools
