// Compares vision towers with transformers and projectors with PyTorch.

#include <cmath>

#include "autograd/ops.h"
#include "models/weight_files.h"
#include "nn/adamw.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

TEST_F(ModelTest, SiglipHiddenStatesMatchTransformers) {
    const auto directory = model_goldens() / "siglip";
    nn::ParameterTable table;
    const VisionConfig config = ModelDirectory(directory).vision_config();
    EXPECT_EQ(config.kind, VisionConfig::Kind::Siglip);
    EXPECT_EQ(config.num_patches(), 9);
    const Vit vit(config, table);
    ModelDirectory(directory).load_part(Part::VisionTower, table, *device, DType::F32);
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
        std::string file = "projectors";
    };
    const Case cases[] = {
        {Kind::Linear, Order::Row, "linear"},
        {Kind::Mlp2xGelu, Order::Row, "mlp2x_gelu"},
        {Kind::Transformer, Order::Row, "transformer"},
        {Kind::LinearDownsample, Order::Row, "linear_downsample.row", "linear_downsample"},
        {Kind::LinearDownsample, Order::Column, "linear_downsample.column", "linear_downsample"},
        {Kind::MlpDownsample, Order::Row, "mlp_downsample.row"},
        {Kind::MlpDownsample, Order::Column, "mlp_downsample.column"},
    };
    for (const Case& one : cases) {
        const Tensor features = golden(one.file, "features").reshape({2 * 9, 12});
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
                         golden(one.file, std::string(ProjectorConfig::kind_name(one.kind)) + "/" +
                                              parameter.name),
                         DType::F32, false);
        const autograd::Variable tokens = projector(autograd::Variable(features), 2);
        EXPECT_EQ(tokens.size(0), 2 * config.num_tokens(9)) << one.expected;
        EXPECT_LT(relative_error(tokens.value(), golden(one.file, one.expected)), kFloatTolerance)
            << one.expected;
    }
}

// LLaVA's mlp3x_gelu, by its definition in double precision.
TEST_F(ModelTest, ThreeLayerProjectorIsItsDefinition) {
    ProjectorConfig config;
    config.kind = ProjectorConfig::kind_from_name("mlp3x_gelu");
    config.mm_hidden_size = 3;
    config.hidden_size = 4;
    nn::ParameterTable table;
    const Projector projector(config, table);
    const auto value = [](int64_t i) { return 0.4F * std::sin(static_cast<float>(7 * i + 1)); };
    const auto values = [&](const Shape& shape) {
        std::vector<float> list;
        for (int64_t i = 0; i < shape.numel(); ++i) list.push_back(value(i + shape.numel()));
        return list;
    };
    std::vector<double> row = {0.5, -1.5, 2.0};
    const Tensor input = Tensor::from_values(*device, {1, 3}, std::vector<float>{0.5, -1.5, 2.0});
    for (const char* layer : {"layers.0.", "layers.2.", "layers.4."}) {
        const nn::Parameter& weight = table.at(std::string(layer) + "weight");
        const std::vector<float> w = values(weight.shape), b = values({config.hidden_size});
        table.assign(weight.name, Tensor::from_values(*device, weight.shape, w), DType::F32, false);
        table.assign(std::string(layer) + "bias",
                     Tensor::from_values(*device, {config.hidden_size}, b), DType::F32, false);
        if (layer != std::string("layers.0."))
            for (double& x : row) x = 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
        std::vector<double> next(b.begin(), b.end());
        for (size_t i = 0; i < next.size(); ++i)
            for (size_t j = 0; j < row.size(); ++j) next[i] += w[i * row.size() + j] * row[j];
        row = next;
    }
    const auto output = projector(autograd::Variable(input), 1).value().to_vector<float>();
    ASSERT_EQ(output.size(), row.size());
    for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(output[i], row[i], 1e-5);
}

// Fits the projector of table 7 of the paper to random targets, as PyTorch does.
TEST_F(ModelTest, LinearDownsampleTrainsLikePyTorch) {
    ProjectorConfig config;
    config.kind = ProjectorConfig::Kind::LinearDownsample;
    config.mm_hidden_size = 12;
    config.hidden_size = 16;
    nn::ParameterTable table;
    const Projector projector(config, table);
    std::vector<nn::Parameter*> parameters;
    for (nn::Parameter& parameter : table) {
        const std::string stored = "linear_downsample/" + parameter.name;
        table.assign(parameter.name, golden("linear_downsample", stored), DType::F32, true);
        parameters.push_back(&parameter);
    }
    const autograd::Variable features(golden("linear_downsample", "features").reshape({2 * 9, 12}));
    const autograd::Variable targets(golden("linear_downsample", "targets").reshape({2 * 4, 16}));
    const auto losses = golden("linear_downsample", "train.losses").to_vector<double>();
    EXPECT_LT(losses.back(), 0.5 * losses.front());
    nn::Adamw optimizer(parameters, {.beta1 = 0.9, .beta2 = 0.95});
    for (size_t step = 0; step < losses.size(); ++step) {
        const autograd::Variable error =
            autograd::add(projector(features, 2), autograd::scale(targets, -1.0));  // (2 * 4, C)
        const autograd::Variable loss = autograd::sum(autograd::mul(error, error));
        EXPECT_NEAR(loss.value().item() / losses[step], 1.0, 1e-5) << step;
        autograd::backward(loss);
        optimizer.step(2e-2, 1.0);
        optimizer.clear_gradients();
    }
}

TEST(ProjectorConfigTest, TokenCounts) {
    ProjectorConfig config;
    EXPECT_EQ(config.num_tokens(729), 729);
    config.kind = ProjectorConfig::Kind::MlpDownsample;
    EXPECT_EQ(config.num_tokens(729), 196);
    EXPECT_EQ(config.num_tokens(576), 144);
    EXPECT_EQ(config.num_tokens(1), 1);
    config.kind = ProjectorConfig::Kind::LinearDownsample;
    EXPECT_EQ(config.num_tokens(729), 196);
    EXPECT_THROW(config.num_tokens(730), Error);
}

}  // namespace
}  // namespace vila::models
