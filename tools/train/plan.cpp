#include "tools/train/plan.h"

#include <algorithm>
#include <cstdio>

#include "dist/sharded_adamw.h"
#include "models/batch.h"
#include "nn/adamw.h"
#include "tools/train/plan_device.h"
#include "tools/train/recipe_model.h"

namespace vila::tools {

namespace {

void give_memory(models::VilaModel& model) {
    for (nn::ParameterTable* table : model.tables())
        for (nn::Parameter& parameter : *table)
            parameter.variable =
                autograd::Variable(Tensor::empty(model.device(), parameter.shape, model.dtype()));
}

// Host memory behind the sequences of a planned micro-batch.
struct PlannedBatch {
    std::vector<int32_t> ids, labels;
    std::vector<float> image;
    Shape image_shape;

    explicit PlannedBatch(const PlanQuestion& question) {
        const models::VilaConfig& config = question.model;
        const int64_t image_tokens = config.vision ? config.tokens_per_image() : 0;
        const int64_t text = question.length - question.images * image_tokens;
        VILA_CHECK(text >= 2, "sequences of ", question.length, " positions do not take ",
                   question.images, " images of ", image_tokens);
        ids.assign(static_cast<size_t>(question.images), kImageToken);
        labels.assign(ids.size(), kIgnoreLabel);
        ids.resize(ids.size() + static_cast<size_t>(text), 0);
        labels.resize(ids.size(), 0);
        labels.front() = kIgnoreLabel;  // nothing stands before it
        if (question.images == 0) return;
        const int64_t side = config.vision->image_size;
        // What a frozen tower sees is computed ahead, image by image.
        image_shape = question.trainable.vision_tower
                          ? Shape{3, side, side}
                          : Shape{config.features_per_image(), config.vision->hidden_size};
        image.resize(static_cast<size_t>(image_shape.numel()));
    }

    models::Batch on(Device& device, const PlanQuestion& question) const {
        std::vector<models::Sequence> sequences;
        for (int64_t i = 0; i < question.sequences; ++i) {
            models::Sequence& sequence = sequences.emplace_back();
            sequence.ids = ids;
            sequence.labels = labels;
            for (int64_t k = 0; k < question.images; ++k)
                sequence.images.push_back({image_shape, image});
        }
        const int64_t image_tokens = question.model.vision ? question.model.tokens_per_image() : 1;
        return models::make_batch(device, sequences, image_tokens);
    }
};

int64_t whole_weights(models::VilaModel& model) {
    int64_t bytes = 0;
    for (nn::ParameterTable* table : model.tables())
        for (const nn::Parameter& parameter : *table)
            if (parameter.variable.defined()) bytes += parameter.variable.value().bytes();
    return bytes;
}

// Gradients and update of one micro-batch, by one process or as one of many ranks.
void planned_step(const PlanQuestion& question, models::VilaModel& model, MemoryPlan& plan) {
    Device& device = model.device();
    const PlannedBatch batch(question);
    const auto run = [&] {
        device.reset_peak();
        autograd::backward(model.loss(batch.on(device, question), 1.0));
    };
    const auto note = [&] {
        plan.peak = device.memory().peak;
        plan.step = plan.peak - plan.weights - plan.optimizer;
    };
    if (question.ranks == 1 && !question.in_buckets) {
        nn::Adamw optimizer(model.trainable_parameters(), {});
        optimizer.state();  // makes it
        plan.optimizer = device.memory().live - plan.weights;
        run();
        optimizer.step(0.0);
        return note();
    }
    const auto ranks = planned_ranks(question.ranks);
    const std::vector<dist::ShardedGroup> groups = {{"all", model.trainable_parameters(), 0.0}};
    dist::ShardedAdamw optimizer(*ranks, groups, {}, question.zero);
    model.set_block_hook(&optimizer);
    plan.weights = whole_weights(model);
    plan.optimizer = device.memory().live - plan.weights;
    run();
    optimizer.gradients().end_micro_batch();
    optimizer.step(0.0, 1.0);
    note();
    model.set_block_hook(nullptr);
}

}  // namespace

MemoryPlan plan_memory(const PlanQuestion& question) {
    PlanDevice device;
    models::VilaModel model(question.model, device, question.dtype);
    give_memory(model);
    model.set_trainable(question.trainable);
    model.set_activation_checkpointing(question.activation_checkpointing);
    MemoryPlan plan;
    plan.weights = whole_weights(model);
    for (nn::ParameterTable* table : model.tables()) plan.parameters += table->count();
    for (const nn::Parameter* parameter : model.trainable_parameters())
        plan.learning += parameter->shape.numel();
    planned_step(question, model, plan);
    return plan;
}

std::string plan_words(const Recipe& recipe, int64_t ranks) try {
    if (recipe.stage == "clip") return "";
    const MemoryPlan plan = plan_memory(recipe_question(recipe, ranks, 1));
    const auto gigabytes = [](int64_t bytes) {
        char text[32];
        std::snprintf(text, sizeof text, "%.3f GB", static_cast<double>(bytes) * 1e-9);
        return std::string(text);
    };
    return str("; planned on each of ", ranks,
               ranks == 1 ? " rank: " : " ranks: ", gigabytes(plan.weights), " of weights, ",
               gigabytes(plan.optimizer), " of optimizer, ", gigabytes(plan.step),
               " in a step, together ", gigabytes(plan.peak),
               " (vila plan --memory-gb finds the micro_batch that fits)");
} catch (const std::exception&) {
    return "";  // what ran out is said all the same
}

PlanQuestion recipe_question(const Recipe& recipe, int64_t ranks, int64_t images) {
    PlanQuestion question;
    question.model = recipe_model_config(recipe);
    question.trainable = {.llm = *recipe.trainable.llm,
                          .projector = *recipe.trainable.projector,
                          .vision_tower = *recipe.trainable.vision_tower};
    question.dtype = dtype_from_name(recipe.train.dtype);
    question.activation_checkpointing = recipe.train.activation_checkpointing;
    question.zero = recipe.train.zero;
    question.ranks = ranks;
    question.in_buckets = recipe.train.rank_invariant;
    question.sequences = recipe.train.micro_batch;
    question.length = recipe.data.max_length;
    if (recipe.stage == "lm" || !question.model.vision) return question;
    question.images = std::min(images, (question.length - 2) / question.model.tokens_per_image());
    return question;
}

}  // namespace vila::tools
