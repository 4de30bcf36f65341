// Compares vision towers with transformers and projectors with PyTorch.

#include "autograd/ops.h"
#include "models/weight_files.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

TEST_F(ModelTest, SiglipHiddenStatesMatchTransformers) {
    const auto directory = model_goldens() / "siglip";
    nn::ParameterTable table;
    const VisionConfig config = read_vision_config(directory);
    EXPECT_EQ(config.kind, VisionConfig::Kind::Siglip);
    EXPECT_EQ(config.num_patches(), 9);
    const Vit vit(config, table);
    load_vision_weights(directory, table, *device, DType::F32);
    const Tensor pixels = golden("siglip", "pixels");
    for (const int64_t index : {0, 1, 2, 3, -1, -2, -4}) {
        const int64_t blocks = vit.blocks_for(index);
        const Tensor expected = golden("siglip", "hidden." + std::to_string(blocks));
        const autograd::Variable state = vit.hidden_state(pixels, index, false);
        EXPECT_LT(relative_error(state.value(), expected), kFloatTolerance) << index;
    }
    EXPECT_THROW(vit.hidden_state(pixels, 4, false), Error);
    EXPECT_THROW(vit.hidden_state(pixels.slice(2, 0, 21).contiguous(), -2, false), Error);
}

TEST_F(JoinedTest, ClipFeaturesMatchTransformers) {
    const auto model = load(DType::F32);
    EXPECT_EQ(model->config().vision->kind, VisionConfig::Kind::Clip);
    const autograd::Variable features = model->image_features(golden("joined", "pixels.2"));
    EXPECT_EQ(features.shape(), (Shape{3 * 4, 12}));
    EXPECT_LT(relative_error(features.value(), golden("joined", "features")), kFloatTolerance);
}

TEST_F(ModelTest, ProjectorsMatchPyTorch) {
    using Kind = ProjectorConfig::Kind;
    using Order = ProjectorConfig::TokenOrder;
    struct Case {
        Kind kind;
        Order order;
        std::string expected;
    };
    const Case cases[] = {
        {Kind::Linear, Order::Row, "linear"},
        {Kind::Mlp2xGelu, Order::Row, "mlp2x_gelu"},
        {Kind::Transformer, Order::Row, "transformer"},
        {Kind::MlpDownsample, Order::Row, "mlp_downsample.row"},
        {Kind::MlpDownsample, Order::Column, "mlp_downsample.column"},
    };
    const Tensor features = golden("projectors", "features").reshape({2 * 9, 12});
    for (const Case& one : cases) {
        ProjectorConfig config;
        config.kind = one.kind;
        config.token_order = one.order;
        config.mm_hidden_size = 12;
        config.hidden_size = 16;
        config.num_attention_heads = 4;
        nn::ParameterTable table;
        const Projector projector(config, table);
        for (nn::Parameter& parameter : table)
            table.assign(parameter.name,
                         golden("projectors", std::string(ProjectorConfig::kind_name(one.kind)) +
                                                  "/" + parameter.name),
                         DType::F32, false);
        const autograd::Variable tokens = projector(autograd::Variable(features), 2);
        EXPECT_EQ(tokens.size(0), 2 * config.num_tokens(9)) << one.expected;
        EXPECT_LT(relative_error(tokens.value(), golden("projectors", one.expected)),
                  kFloatTolerance)
            << one.expected;
    }
}

TEST(ProjectorConfigTest, TokenCounts) {
    ProjectorConfig config;
    EXPECT_EQ(config.num_tokens(729), 729);
    config.kind = ProjectorConfig::Kind::MlpDownsample;
    EXPECT_EQ(config.num_tokens(729), 196);
    EXPECT_EQ(config.num_tokens(576), 144);
    EXPECT_EQ(config.num_tokens(1), 1);
    EXPECT_THROW(config.num_tokens(730), Error);
}

}  // namespace
}  // namespace vila::models
