// Compares the operation count of a step with the sum over its matrix products, written out.

#include "tools/base/flops.h"

#include <gtest/gtest.h>

#include "tensor/cpu/cpu_device.h"

namespace vila::tools {
namespace {

models::VilaConfig small_config() {
    models::VilaConfig config;
    config.llm.vocab_size = 50;
    config.llm.hidden_size = 8;
    config.llm.intermediate_size = 12;
    config.llm.num_hidden_layers = 2;
    config.llm.num_attention_heads = 4;
    config.llm.num_key_value_heads = 2;
    config.llm.head_dim = 2;
    config.llm.max_position_embeddings = 32;
    config.vision = models::VisionConfig();
    config.vision->hidden_size = 6;
    config.vision->intermediate_size = 10;
    config.vision->num_hidden_layers = 3;
    config.vision->num_attention_heads = 2;
    config.vision->image_size = 8;
    config.vision->patch_size = 4;
    config.projector.kind = models::ProjectorConfig::Kind::Linear;
    return config;
}

TEST(Flops, AreTheProductsOfForwardAndBackward) {
    const auto device = make_cpu_device(1);
    models::VilaModel model(small_config(), *device, DType::F32);
    const StepWork work = {.lengths = {5, 7}, .targets = 4, .image_tokens = 4, .encoded_tiles = 1};
    const double rows = 12.0, pairs = 15.0 + 28.0;
    // q, k, v, o and gate, up, down of two layers; each pair of positions: scores and sum.
    const double llm = 2.0 * rows * 2 * (8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 12);
    const double attention = 2.0 * 2 * pairs * 2 * 8;
    const double head = 2.0 * 4 * 50 * 8;
    const double projector = 2.0 * 4 * 6 * 8;
    // 5 positions (the class token has no patch, but is counted as if it had one).
    const double tower =
        2.0 * 5 * (3 * 4 * 4 * 6 + 3 * (4 * 6 * 6 + 2 * 6 * 10)) + 3 * 2.0 * 2 * 5 * 5 * 6;

    const FlopCounter all(model, {.llm = true, .projector = true, .vision_tower = true});
    EXPECT_DOUBLE_EQ(all.step(work), 3 * (llm + attention + head) + 3 * projector + 3 * tower);
    const FlopCounter align(model, {.llm = false, .projector = true, .vision_tower = false});
    EXPECT_DOUBLE_EQ(align.step(work), 2 * (llm + head) + 3 * attention + 2 * projector + tower);
    const FlopCounter lm(model, {.llm = true, .projector = false, .vision_tower = false});
    EXPECT_DOUBLE_EQ(
        lm.step({.lengths = {5, 7}, .targets = 4, .image_tokens = 0, .encoded_tiles = 0}),
        3 * (llm + attention + head));
    EXPECT_DOUBLE_EQ(all.forward(work), llm + attention + head + projector + tower);
    // An image of three tiles beside one of one tile.
    StepWork tiles = work;
    tiles.image_tokens += 12;
    tiles.encoded_tiles += 3;
    EXPECT_DOUBLE_EQ(all.forward(tiles), all.forward(work) + 3 * (projector + tower));
}

}  // namespace
}  // namespace vila::tools
