// Images with different numbers of tokens, next to each other: the layout that counts them, a
// batch, a training step, and generation.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "models/generate.h"
#include "tests/support/model_goldens.h"
#include "tests/support/tiled_config.h"

namespace vila::models {
namespace {

TEST(ImageLayout, GridsAreThoseOfNvila) {
    const ImageLayout layout = {
        .tile_side = 448, .tile_features = 1024, .tile_tokens = 121, .max_tiles = 12};
    struct Case {
        int64_t height, width;
        TileGrid grid;
    };
    // As the published rule gives them (rows, columns).
    const Case cases[] = {
        {448, 448, {1, 1}},  {800, 800, {2, 2}},   {448, 1344, {1, 3}},  {1080, 1920, {2, 4}},
        {1000, 300, {3, 1}}, {20, 1000, {1, 12}},  {1300, 1300, {3, 3}}, {1, 1, {1, 1}},
        {480, 640, {3, 4}},  {1536, 2048, {3, 4}}, {1000, 1500, {2, 3}},
    };
    for (const Case& c : cases) {
        const TileGrid grid = layout.grid(c.height, c.width);
        EXPECT_EQ(grid.rows, c.grid.rows) << c.height << " x " << c.width;
        EXPECT_EQ(grid.columns, c.grid.columns) << c.height << " x " << c.width;
    }
    EXPECT_EQ(layout.image_tokens(448, 448), 121);
    EXPECT_EQ(layout.image_tokens(1536, 2048), 13 * 121);
    EXPECT_EQ(layout.most_tiles(), 13);
    EXPECT_EQ(layout.tiles_of_features(2048), 2);
    EXPECT_THROW(layout.tiles_of_features(1025), Error);
    EXPECT_THROW(layout.grid(0, 5), Error);
}

TEST(ImageLayout, IsConstantWithoutTilesAndOneWithoutATower) {
    ImageLayout layout = {.tile_side = 336, .tile_features = 576, .tile_tokens = 144};
    EXPECT_FALSE(layout.depends_on_size());
    EXPECT_EQ(layout.image_tokens(1, 5000), 144);
    EXPECT_EQ(layout.most_tiles(), 1);
    layout = VilaConfig().image_layout();
    EXPECT_EQ(layout.image_tokens(30, 50), 1);
    EXPECT_EQ(layout.tile_features, 0);
}

constexpr int64_t kSide = 8;  // of a tile
constexpr int64_t kVocabulary = 37;

// A model with 4 patches a tile and up to 6 tiles an image.
VilaConfig tiled_config(ProjectorConfig::Kind projector) {
    VilaConfig config = small_tiled_config(kSide, 6);
    config.llm.vocab_size = kVocabulary;
    config.llm.num_hidden_layers = 2;
    config.llm.num_key_value_heads = 1;
    config.vision->num_hidden_layers = 2;
    // Weights large enough that the greedy tokens depend on every image and its place.
    config.llm.init.embedding = 1.0;
    config.llm.init.linear = {nn::InitRule::Kind::FanInNormal, 1.0};
    config.vision->init.linear = config.llm.init.linear;
    config.projector.init = {nn::InitRule::Kind::FanInNormal, 4.0};
    config.projector.kind = projector;
    return config;
}

// An image of `tiles` tiles of noise, and its features if `model` is frozen.
struct OwnedImage {
    Shape shape;
    std::vector<float> values;
    int64_t tokens;

    OwnedImage(const VilaModel& model, int64_t tiles, uint64_t seed, bool as_features = false)
        : shape{tiles, 3, kSide, kSide},
          tokens(model.config().image_layout().tokens_of_tiles(tiles)) {
        for (int64_t i = 0; i < shape.numel(); ++i)
            values.push_back(4.0f *
                             static_cast<float>(random_uniform(seed, static_cast<uint64_t>(i))));
        if (tiles == 1) shape = Shape{3, kSide, kSide};
        if (!as_features) return;
        const Tensor features = model.image_features(pixels(model.device())).value();
        shape = features.shape();
        values = features.to_vector<float>();
    }
    Tensor pixels(Device& device) const {
        return Tensor::from_values(
            device, {static_cast<int64_t>(values.size()) / (3 * kSide * kSide), 3, kSide, kSide},
            values);
    }
    HostImage view() const { return {shape, values, tokens}; }
};

constexpr int32_t I = kImageToken;
constexpr int32_t X = kIgnoreLabel;
const std::vector<int32_t> kFirstIds = {1, I, 5, 6, 7};
const std::vector<int32_t> kFirstLabels = {X, X, 5, X, 7};
const std::vector<int32_t> kSecondIds = {2, 9, I, I, 4, I, 11, 12};
const std::vector<int32_t> kSecondLabels = {X, 9, X, X, 4, X, 11, 12};

class ImageLayoutTest : public ModelTest,
                        public testing::WithParamInterface<ProjectorConfig::Kind> {
  protected:
    std::unique_ptr<VilaModel> make_model(DType dtype) {
        auto model = std::make_unique<VilaModel>(tiled_config(GetParam()), *device, dtype);
        model->initialize(3);
        model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
        return model;
    }
    // The images of the first sequence, then those of the second.
    static std::vector<OwnedImage> images(const VilaModel& model, bool as_features = false) {
        std::vector<OwnedImage> images;
        for (const int64_t tiles : {1, 3, 1, 4})
            images.emplace_back(model, tiles, images.size(), as_features);
        return images;
    }
    static std::vector<Sequence> sequences(const std::vector<OwnedImage>& images) {
        return {
            {kFirstIds, kFirstLabels, {images[0].view()}},
            {kSecondIds, kSecondLabels, {images[1].view(), images[2].view(), images[3].view()}}};
    }
};

TEST_P(ImageLayoutTest, BatchesHaveTheRowsOfEachImage) {
    const auto model = make_model(DType::F32);
    const int64_t tile = model->config().image_layout().tile_tokens;
    const auto owned = images(*model);
    const Batch batch = make_batch(*device, sequences(owned));
    EXPECT_EQ(batch.image_offsets, (std::vector<int64_t>{0, tile, 4 * tile, 5 * tile, 9 * tile}));
    EXPECT_EQ(batch.images(), 4);
    EXPECT_EQ(batch.pixels.shape(), (Shape{9, 3, kSide, kSide}));
    const int64_t first = 4 + tile;
    EXPECT_EQ(batch.cu_seqlens.to_vector<int64_t>(),
              (std::vector<int64_t>{0, first, first + 5 + 8 * tile}));
    std::vector<int64_t> rows;
    const auto expect_rows = [&](int64_t begin, int64_t count) {
        for (int64_t i = 0; i < count; ++i) rows.push_back(begin + i);
    };
    expect_rows(1, tile);
    expect_rows(first + 2, 4 * tile);
    expect_rows(first + 3 + 4 * tile, 4 * tile);
    EXPECT_EQ(batch.image_rows.to_vector<int64_t>(), rows);
    EXPECT_EQ(batch.loss_rows.to_vector<int64_t>(),
              (std::vector<int64_t>{tile, tile + 2, first, first + 1 + 4 * tile,
                                    first + 2 + 8 * tile, first + 3 + 8 * tile}));
}

TEST_P(ImageLayoutTest, FeaturesOfUnequalLengthEqualPixels) {
    const auto model = make_model(DType::F32);
    const autograd::NoGrad no_grad(*device);
    const auto pixels = images(*model), features = images(*model, true);
    EXPECT_NE(features[0].shape, features[1].shape);
    EXPECT_EQ(model->logits(make_batch(*device, sequences(features))).to_vector<float>(),
              model->logits(make_batch(*device, sequences(pixels))).to_vector<float>());
}

// The gradients of the batch are the sums of those of each sequence alone.
TEST_P(ImageLayoutTest, AStepIsTheSumOfItsSequences) {
    const auto together = make_model(DType::F64), apart = make_model(DType::F64);
    const auto owned = images(*together);
    const std::vector<Sequence> both = sequences(owned);
    const Batch batch = make_batch(*device, both);
    Tensor row_losses;
    const double scale = 1.0 / static_cast<double>(batch.loss_tokens());
    const autograd::Variable loss = together->loss(batch, scale, &row_losses);
    autograd::backward(loss);
    std::vector<double> losses;
    double sum = 0.0;
    for (const Sequence& sequence : both) {
        Tensor alone;
        const autograd::Variable part = apart->loss(make_batch(*device, {sequence}), scale, &alone);
        autograd::backward(part);
        sum += part.value().item();
        for (const double value : alone.to_vector<double>()) losses.push_back(value);
    }
    EXPECT_EQ(row_losses.to_vector<double>(), losses);
    EXPECT_NEAR(loss.value().item(), sum, 1e-12);
    const auto expected = apart->trainable_parameters(), actual = together->trainable_parameters();
    for (size_t i = 0; i < expected.size(); ++i) {
        if (!expected[i]->variable.grad().defined()) continue;
        EXPECT_LT(relative_error(actual[i]->variable.grad(), expected[i]->variable.grad(), 1e-6),
                  1e-5)
            << expected[i]->name;
    }
}

// Returns the greedy tokens of a sequence without batches or caches: computes every tile alone, and
// the whole sequence again for every token.
std::vector<int32_t> tokens_by_hand(const VilaModel& model, std::vector<int32_t> ids,
                                    const std::vector<OwnedImage>& images, int64_t count) {
    Device& device = model.device();
    const int64_t C = model.config().llm.hidden_size;
    std::vector<float> rows;
    const auto append = [&](const Tensor& more) {
        for (const float value : more.to_vector<float>()) rows.push_back(value);
    };
    const auto append_id = [&](int32_t id) {
        append(model.llm().embed(Tensor::from_values<int32_t>(device, {1}, {id})).value());
    };
    auto image = images.begin();
    for (const int32_t id : ids) {
        if (id != I) {
            append_id(id);
            continue;
        }
        const Tensor pixels = (image++)->pixels(device);
        for (int64_t i = 0; i < pixels.size(0); ++i)
            append(model.project(model.image_features(pixels.slice(0, i, i + 1).contiguous()))
                       .value());
    }
    std::vector<int32_t> tokens;
    while (static_cast<int64_t>(tokens.size()) < count) {
        const auto R = static_cast<int64_t>(rows.size()) / C;
        std::vector<int32_t> positions(static_cast<size_t>(R));
        std::iota(positions.begin(), positions.end(), 0);
        const Tensor hidden =
            model.llm()
                .hidden(autograd::Variable(Tensor::from_values(device, {R, C}, rows)),
                        {.positions = Tensor::from_values(device, {R}, positions),
                         .cu_seqlens = Tensor::from_values<int32_t>(device, {2},
                                                                    {0, static_cast<int32_t>(R)})},
                        false)
                .value();
        const auto logits = model.llm()
                                .logits(autograd::Variable(hidden.slice(0, R - 1, R)))
                                .value()
                                .to_vector<float>();
        tokens.push_back(
            static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
        append_id(tokens.back());
    }
    return tokens;
}

TEST_P(ImageLayoutTest, GenerationEqualsASequenceLaidOutByHand) {
    const auto model = make_model(DType::F32);
    const autograd::NoGrad no_grad(*device);
    GenerateOptions options;
    options.max_tokens = 20;
    options.prefill_chunk = 7;
    std::vector<std::vector<int32_t>> expected;
    for (const bool as_features : {false, true}) {
        const auto owned = images(*model, as_features), pixels = images(*model);
        std::vector<Sequence> prompts = sequences(owned);
        expected = {tokens_by_hand(*model, kFirstIds, {pixels[0]}, 20),
                    tokens_by_hand(*model, kSecondIds, {pixels[1], pixels[2], pixels[3]}, 20)};
        for (size_t i = 0; i < prompts.size(); ++i)
            EXPECT_EQ(generate(*model, prompts[i], options), expected[i]);
        EXPECT_EQ(generate_many(*model, prompts, options), expected);
    }
    const auto pixels = images(*model);
    EXPECT_NE(tokens_by_hand(*model, kSecondIds, {pixels[3], pixels[2], pixels[1]}, 20),
              expected[1]);
    EXPECT_NE(tokens_by_hand(*model, kSecondIds, {pixels[1], pixels[2], pixels[1]}, 20),
              expected[1]);
}

TEST_P(ImageLayoutTest, ErrorsNameTheMistake) {
    const auto model = make_model(DType::F32);
    const auto message = [&](const std::vector<HostImage>& images) -> std::string {
        const std::vector<int32_t> ids(images.size(), I);
        try {
            model->logits(make_batch(*device, {{ids, {}, images}}));
        } catch (const Error& error) {
            return error.what();
        }
        return "no error";
    };
    const OwnedImage pixels(*model, 3, 1), features(*model, 2, 1, true);
    EXPECT_EQ(message({pixels.view(), features.view()}),
              "an image of shape (8, 6) in a batch whose first image has tiles (3, 8, 8): expected "
              "all pixels of one size, or all features of one width");
    HostImage wrong = pixels.view();
    wrong.tokens = 0;
    EXPECT_EQ(message({wrong}),
              "an image of shape (3, 3, 8, 8) with 0 tokens: expected at least 1");
    wrong.tokens = pixels.tokens + 1;
    EXPECT_NE(message({wrong}).find("image tokens for their rows: expected "), std::string::npos);
    VilaConfig config = model->config();
    EXPECT_THROW(config.join_json(DType::F32), Error);
}

INSTANTIATE_TEST_SUITE_P(Projectors, ImageLayoutTest,
                         testing::Values(ProjectorConfig::Kind::Linear,
                                         ProjectorConfig::Kind::Transformer,
                                         ProjectorConfig::Kind::MlpDownsample),
                         [](const auto& info) {
                             return std::string(ProjectorConfig::kind_name(info.param));
                         });

}  // namespace
}  // namespace vila::models
