// Compares the planned memory of a training step with the memory counters of a real step: in one
// process and on several ranks, in every ZeRO stage, with and without activation checkpointing, for
// frozen and trainable parts.

#include "tools/train/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>

#include "dist/sharded_adamw.h"
#include "dist/thread_ranks.h"
#include "models/batch.h"
#include "nn/adamw.h"
#include "tensor/cpu/cpu_device.h"

namespace vila::tools {
namespace {

constexpr double kTolerance = 0.03;  // relative difference of planned and measured peak

PlanOptions small_options() {
    PlanOptions options;
    models::VilaConfig& config = options.model;
    config.llm.vocab_size = 1031;
    config.llm.num_attention_heads = 4;
    config.llm.num_key_value_heads = 2;
    config.llm.head_dim = 32;
    config.llm.hidden_size = 128;
    config.llm.intermediate_size = 352;
    config.llm.num_hidden_layers = 4;
    config.llm.max_position_embeddings = 512;
    config.vision.emplace();
    config.vision->hidden_size = 96;
    config.vision->intermediate_size = 200;
    config.vision->num_hidden_layers = 4;
    config.vision->num_attention_heads = 3;
    config.vision->image_size = 64;
    config.vision->patch_size = 8;
    config.select_layer = -1;
    config.projector.kind = models::ProjectorConfig::Kind::Mlp2xGelu;
    config.check_and_complete();
    options.trainable = {.llm = true, .projector = true, .vision_tower = false};
    options.dtype = DType::F32;
    options.sequences = 2;
    options.length = 110;
    options.image_tiles = {1};
    return options;
}

// Runs a training step and returns its peak memory in bytes, as the device counts it.
int64_t measured_peak(const PlanOptions& options, dist::Collectives& job) {
    const auto device = make_cpu_device(1);
    models::VilaModel model(options.model, *device, options.dtype);
    model.initialize(1);
    model.set_trainable(options.trainable);
    model.set_activation_checkpointing(options.activation_checkpointing);
    const models::VilaConfig& config = options.model;
    const bool pixels = options.trainable.vision_tower;
    const int64_t side = config.vision->image_size;
    const models::ImageLayout layout = config.image_layout();
    const std::vector<float> values(100'000, 0.5F);
    std::vector<models::HostImage> images;
    int64_t text = options.length;
    for (const int64_t tiles : options.image_tiles) {
        const Shape shape = pixels
                                ? Shape{tiles, 3, side, side}
                                : Shape{tiles * layout.tile_features, config.vision->hidden_size};
        images.push_back({shape, std::span(values).first(static_cast<size_t>(shape.numel())),
                          tiles * layout.tile_tokens});
        text -= images.back().tokens;
    }
    std::vector<int32_t> ids(static_cast<size_t>(text), 3);
    std::vector<int32_t> labels = ids;
    ids.insert(ids.begin(), images.size(), kImageToken);
    labels.insert(labels.begin(), images.size(), kIgnoreLabel);
    labels.front() = kIgnoreLabel;
    const std::vector<models::Sequence> sequences(static_cast<size_t>(options.sequences),
                                                  models::Sequence{ids, labels, images});
    const auto run = [&] {
        device->reset_peak();
        autograd::backward(model.loss(models::make_batch(*device, sequences), 1e-3));
    };
    if (job.ranks() == 1 && !options.in_buckets) {
        nn::Adamw optimizer(model.trainable_parameters(), {});
        optimizer.state();
        run();
        optimizer.step(1e-3);
        return device->memory().peak;
    }
    dist::ShardedAdamw optimizer(job, {{"all", model.trainable_parameters(), 1e-3}}, {},
                                 options.zero);
    model.set_block_hook(&optimizer);
    run();
    optimizer.gradients().end_micro_batch();
    optimizer.gradients().norm();
    optimizer.step(1.0, 1.0);
    return device->memory().peak;
}

void expect_plan(const PlanOptions& options) {
    int64_t measured = 0;
    if (options.ranks == 1)
        measured = measured_peak(options, *dist::one_process());
    else
        dist::run_thread_ranks(options.ranks, [&](dist::Collectives& job) {
            const int64_t peak = measured_peak(options, job);
            if (job.rank() == 0) measured = peak;
        });
    const MemoryPlan plan = plan_memory(options);
    EXPECT_NEAR(static_cast<double>(plan.peak) / static_cast<double>(measured), 1.0, kTolerance)
        << options.ranks << " ranks, stage " << options.zero << ", " << options.dtype
        << ", checkpointing " << options.activation_checkpointing << ", tower "
        << options.trainable.vision_tower;
    EXPECT_EQ(plan.peak, plan.weights + plan.optimizer + plan.step);
}

TEST(Plan, AgreesWithTheCountersOfARealStep) {
    PlanOptions options = small_options();
    for (const DType dtype : {DType::F32, DType::BF16})
        for (const bool checkpointing : {true, false}) {
            options.dtype = dtype;
            options.activation_checkpointing = checkpointing;
            expect_plan(options);
        }
    options.activation_checkpointing = true;
    options.trainable.vision_tower = true;
    for (const int64_t ranks : {1, 2, 3})
        for (int64_t zero = ranks == 2 ? 0 : 3; zero <= 3; ++zero) {
            options.ranks = ranks;
            options.zero = zero;
            expect_plan(options);
        }
    options.image_tiles = {};
    expect_plan(options);
}

// The sums of gradients of a rank-invariant run, which one rank keeps too.
TEST(Plan, RankInvariantStepsOfOneRank) {
    PlanOptions options = small_options();
    options.in_buckets = true;
    for (options.zero = 0; options.zero <= 3; ++options.zero) expect_plan(options);
}

TEST(Plan, CountsTheTilesOfEachImage) {
    PlanOptions options = small_options();
    options.length = 400;
    options.image_tiles = {1, 3};
    expect_plan(options);
    options.trainable.vision_tower = true;
    expect_plan(options);
    options.length = 4 * 64 + 1;
    EXPECT_THROW(plan_memory(options), Error) << "4 tiles of 64 positions leave no room for text";
}

TEST(Plan, FrozenPartsHaveNoOptimizerStateAndZeroStagesShardIt) {
    PlanOptions options = small_options();
    options.dtype = DType::BF16;
    options.ranks = 8;
    options.trainable = {.llm = false, .projector = true, .vision_tower = false};
    options.zero = 1;
    const MemoryPlan frozen = plan_memory(options);
    EXPECT_LT(frozen.optimizer, 16 * frozen.trainable);
    options.trainable.llm = true;
    int64_t before = INT64_MAX;
    for (const int64_t zero : {0, 2, 3}) {
        options.zero = zero;
        const MemoryPlan plan = plan_memory(options);
        EXPECT_LT(plan.weights + plan.optimizer, before) << zero;
        before = plan.weights + plan.optimizer;
        // Bytes per parameter: 12 for moments and master weight and 4 for the sum of gradients, all
        // f32. In stage 0 only the sums are sharded over the 8 ranks.
        const double each = zero == 0 ? 12.0 + 4.0 / 8 : 16.0 / 8;
        EXPECT_NEAR(static_cast<double>(plan.optimizer) / static_cast<double>(plan.trainable), each,
                    0.05 * each)
            << zero;
    }
}

TEST(Plan, PlansLargeModelsWithoutAllocatingThem) {
    PlanOptions options = small_options();
    options.model.llm.vocab_size = 32000;
    options.model.llm.num_attention_heads = 32;
    options.model.llm.num_key_value_heads = 32;
    options.model.llm.head_dim = 128;
    options.model.llm.hidden_size = 4096;
    options.model.llm.intermediate_size = 11008;
    options.model.llm.num_hidden_layers = 32;
    options.model.llm.max_position_embeddings = 4096;
    options.model.projector = {};
    options.model.projector.kind = models::ProjectorConfig::Kind::Mlp2xGelu;
    options.model.check_and_complete();
    options.dtype = DType::BF16;
    options.ranks = 8;
    options.zero = 2;
    options.sequences = 1;
    options.length = 2048;
    const MemoryPlan plan = plan_memory(options);
    EXPECT_NEAR(static_cast<double>(plan.parameters), 6.76e9, 0.03e9);
    // Per parameter: 2 bytes of bf16 weight, and 16 bytes of f32 state, of which a rank holds an
    // eighth.
    EXPECT_NEAR(static_cast<double>(plan.weights), 2.0 * 6.76e9, 0.1e9);
    EXPECT_NEAR(static_cast<double>(plan.optimizer), 2.0 * 6.76e9, 0.2e9);
    options.zero = 3;
    EXPECT_LT(plan_memory(options).weights, int64_t{1} << 30);
}

TEST(Plan, RecipesHaveThePapersSettings) {
    struct Expected {
        const char* name;
        StageKind stage;
        double lr;
        int64_t global_batch, max_length, zero;
    };
    for (const char* size : {"7b", "13b"})
        for (const Expected& expected :
             {Expected{"align", StageKind::Align, 1e-3, 256, 2048, 2},
              Expected{"pretrain", StageKind::Pretrain, 5e-5, 1024, 4096, 3},
              Expected{"sft", StageKind::Sft, 2e-5, 128, 4096, 3}}) {
            const Recipe recipe = load_recipe(
                str(VILA_SOURCE_DIR, "/tools/recipes/vila-", size, "/", expected.name, ".toml"),
                {});
            EXPECT_EQ(recipe.stage, expected.stage);
            EXPECT_EQ(recipe.optimizer.lr, expected.lr);
            EXPECT_EQ(recipe.optimizer.weight_decay, 0.0);
            EXPECT_EQ(recipe.schedule.warmup_ratio, 0.03);
            EXPECT_EQ(recipe.train.global_batch, expected.global_batch);
            EXPECT_EQ(recipe.data.max_length, expected.max_length);
            EXPECT_EQ(recipe.train.zero, expected.zero);
            EXPECT_EQ(recipe.train.epochs, 1.0);
            EXPECT_FALSE(*recipe.trainable.vision_tower);
            EXPECT_EQ(*recipe.trainable.llm, recipe.stage != StageKind::Align);
        }
}

}  // namespace
}  // namespace vila::tools
