#include "tools/train/plan.h"

#include <algorithm>

#include "data/loader/loader.h"
#include "dist/sharded_adamw.h"
#include "models/batch.h"
#include "nn/adamw.h"
#include "tools/base/units.h"
#include "tools/train/plan_device.h"
#include "tools/train/recipe_model.h"

namespace vila::tools {

namespace {

// Allocates every weight without giving it a value.
void allocate_weights(models::VilaModel& model) {
    for (nn::ParameterTable* table : model.tables())
        for (nn::Parameter& parameter : *table)
            parameter.variable =
                autograd::Variable(Tensor::empty(model.device(), parameter.shape, model.dtype()));
}

// An image of zeros, as a training step reads it.
data::LoadedImage planned_image(const PlanOptions& options, int64_t tiles) {
    VILA_CHECK(options.model.vision, "a model without a vision tower reads no images");
    const models::VisionConfig& vision = *options.model.vision;
    const models::ImageLayout layout = options.model.image_layout();
    data::LoadedImage image;
    // The features of a frozen tower are computed before the step, one image at a time.
    image.shape = options.trainable.vision_tower
                      ? Shape{tiles, 3, vision.image_size, vision.image_size}
                      : Shape{tiles * layout.tile_features, vision.hidden_size};
    image.values.resize(static_cast<size_t>(image.shape.numel()));
    image.tokens = layout.tokens_of_tiles(tiles);
    return image;
}

// Host memory of the sequences of a planned micro-batch.
struct PlannedBatch {
    std::vector<int32_t> ids, labels;
    std::vector<data::LoadedImage> images;

    explicit PlannedBatch(const PlanOptions& options) {
        int64_t image_tokens = 0;  // of all images of a sequence
        for (const int64_t tiles : options.image_tiles) {
            images.push_back(planned_image(options, tiles));
            image_tokens += images.back().tokens;
        }
        const int64_t text = options.length - image_tokens;
        VILA_CHECK(text >= 2, "sequences of ", options.length, " positions have no room for ",
                   images.size(), " images of ", image_tokens, " positions in all");
        ids.assign(images.size(), kImageToken);
        labels.assign(ids.size(), kIgnoreLabel);
        ids.resize(ids.size() + static_cast<size_t>(text), 0);
        labels.resize(ids.size(), 0);
        labels.front() = kIgnoreLabel;  // no token before it predicts it
    }

    models::Batch on(Device& device, const PlanOptions& options) const {
        std::vector<models::Sequence> sequences;
        for (int64_t i = 0; i < options.sequences; ++i) {
            models::Sequence& sequence = sequences.emplace_back();
            sequence.ids = ids;
            sequence.labels = labels;
            for (const data::LoadedImage& image : images)
                sequence.images.push_back({image.shape, image.values, image.tokens});
        }
        return models::make_batch(device, sequences);
    }
};

// Bytes of the weights that have memory at the moment.
int64_t weight_bytes(models::VilaModel& model) {
    int64_t bytes = 0;
    for (nn::ParameterTable* table : model.tables())
        for (const nn::Parameter& parameter : *table)
            for (const Tensor& tensor : parameter.tensors()) bytes += tensor.bytes();
    return bytes;
}

// Runs a step of one micro-batch and notes its memory in `plan`. The cases are those of
// make_training_state().
void planned_step(const PlanOptions& options, models::VilaModel& model, MemoryPlan& plan) {
    Device& device = model.device();
    const PlannedBatch batch(options);
    const auto run = [&] {
        device.reset_peak();
        autograd::backward(model.loss(batch.on(device, options), 1.0));
    };
    const auto note = [&] {
        plan.peak = device.memory().peak;
        plan.step = plan.peak - plan.weights - plan.optimizer;
    };
    if (options.ranks == 1 && !options.in_buckets) {
        nn::Adamw optimizer(model.trainable_parameters(), {});
        optimizer.state();  // allocates it
        plan.optimizer = device.memory().live - plan.weights;
        run();
        optimizer.step(0.0);
        return note();
    }
    const auto ranks = planned_ranks(options.ranks);
    const std::vector<dist::ShardedGroup> groups = {{"all", model.trainable_parameters(), 0.0}};
    dist::ShardedAdamw optimizer(*ranks, groups, {}, options.zero);
    model.set_block_hook(&optimizer);
    plan.weights = weight_bytes(model);
    plan.optimizer = device.memory().live - plan.weights;
    run();
    optimizer.gradients().end_micro_batch();
    optimizer.step(0.0, 1.0);
    note();
    model.set_block_hook(nullptr);
}

}  // namespace

MemoryPlan plan_memory(const PlanOptions& options) {
    PlanDevice device;
    models::VilaModel model(options.model, device, options.dtype);
    allocate_weights(model);
    model.set_trainable(options.trainable);
    model.set_activation_checkpointing(options.activation_checkpointing);
    MemoryPlan plan;
    plan.weights = weight_bytes(model);
    for (nn::ParameterTable* table : model.tables()) plan.parameters += table->count();
    for (const nn::Parameter* parameter : model.trainable_parameters())
        plan.trainable += parameter->shape.numel();
    planned_step(options, model, plan);
    return plan;
}

std::string plan_summary(const Recipe& recipe, int64_t ranks) try {
    if (!can_plan(recipe)) return "";
    const MemoryPlan plan = plan_memory(plan_options(recipe, ranks, 1));
    return str("; planned on each of ", ranks,
               ranks == 1 ? " rank: " : " ranks: ", gigabytes(plan.weights), " of weights, ",
               gigabytes(plan.optimizer), " of optimizer, ", gigabytes(plan.step),
               " in a step; see vila plan --memory-gb");
} catch (const std::exception&) {
    return "";  // the caller reports the first error in any case
}

bool can_plan(const Recipe& recipe) {
    return stage_facts(*recipe.stage).loss == StageLoss::NextToken;
}

PlanOptions plan_options(const Recipe& recipe, int64_t ranks, int64_t images) {
    PlanOptions options;
    options.model = recipe_model_config(recipe);
    options.trainable = trainable_parts(recipe);
    options.dtype = dtype_from_name(recipe.train.dtype);
    options.activation_checkpointing = recipe.train.activation_checkpointing;
    options.zero = recipe.train.zero;
    options.ranks = ranks;
    options.in_buckets = recipe.train.rank_invariant;
    options.sequences = recipe.train.micro_batch;
    options.length = recipe.data.max_length;
    const int64_t positions = options.model.llm.max_position_embeddings;
    VILA_CHECK(options.length <= positions, recipe.model.file, ": data.max_length is ",
               options.length, ": the language model has ", positions, " positions");
    if (!stage_facts(*recipe.stage).takes_images || !options.model.vision) return options;
    const models::ImageLayout layout = options.model.image_layout();
    const int64_t room = (options.length - 2) / layout.tokens_of_tiles(layout.most_tiles());
    options.image_tiles.assign(static_cast<size_t>(std::min(images, room)), layout.most_tiles());
    return options;
}

}  // namespace vila::tools
