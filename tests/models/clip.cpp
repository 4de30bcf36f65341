// Compares the contrastive model with CLIPModel of transformers.

#include "models/clip.h"

#include "autograd/ops.h"
#include "nn/adamw.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

class ClipTest : public ModelTest {
  protected:
    ClipTest() {
        VisionConfig vision;
        vision.hidden_size = 12;
        vision.intermediate_size = 20;
        vision.num_hidden_layers = 1;
        vision.num_attention_heads = 3;
        vision.image_size = 15;
        vision.patch_size = 7;
        ClipTextConfig text = ClipTextConfig::for_tower(vision, 31, 16);
        text.intermediate_size = 20;
        text.projection_dim = 10;
        model = std::make_unique<ClipModel>(vision, text, *device, DType::F32);
        for (nn::ParameterTable* table : {&model->vision_table(), &model->text_table()})
            for (const nn::Parameter& parameter : *table)
                table->assign(parameter.name, golden("clip", "weight/" + parameter.name),
                              DType::F32, true);
    }

    ClipBatch batch() {
        const auto ids = golden("clip", "captions").to_vector<int32_t>();
        const auto lengths = golden("clip", "lengths").to_vector<int32_t>();
        const Tensor pixels = golden("clip", "pixels");
        std::vector<OwnedSequence> owned;
        size_t begin = 0;
        for (size_t b = 0; b < lengths.size(); ++b) {
            OwnedSequence one;
            one.ids = {kImageToken};
            one.ids.insert(one.ids.end(), ids.begin() + begin, ids.begin() + begin + lengths[b]);
            begin += lengths[b];
            one.image_shape = {3, 15, 15};
            one.images.push_back(pixels.slice(0, b, b + 1).to_vector<float>());
            owned.push_back(one);
        }
        std::vector<Sequence> sequences;
        for (const OwnedSequence& one : owned) sequences.push_back(one.get());
        return make_clip_batch(*device, sequences);
    }

    std::unique_ptr<ClipModel> model;
};

TEST_F(ClipTest, EmbeddingsMatchTransformers) {
    const ClipBatch pairs = batch();
    EXPECT_LT(relative_error(model->image_embeddings(pairs.pixels).value(),
                             golden("clip", "image_embeddings")),
              kFloatTolerance);
    EXPECT_LT(
        relative_error(model->text_embeddings(pairs).value(), golden("clip", "text_embeddings")),
        kFloatTolerance);
    EXPECT_EQ(model->similarity(pairs).shape(), (Shape{3, 3}));
}

TEST_F(ClipTest, LossAndGradientsMatchTransformers) {
    const autograd::Variable loss = model->loss(batch(), 1.0);
    EXPECT_NEAR(loss.value().item(), golden("clip", "loss").item(), 1e-5);
    autograd::backward(loss);
    for (const nn::Parameter* parameter : model->trainable_parameters())
        EXPECT_LT(relative_error(parameter->variable.grad(),
                                 golden("clip", "grad/" + parameter->name), 1e-3),
                  kFloatTolerance)
            << parameter->name;
}

TEST_F(ClipTest, TrainingSeparatesThePairs) {
    VisionConfig vision = model->vision_config();
    vision.init.linear = {nn::InitRule::Kind::FanInNormal, 1.0};
    vision.init.position = vision.init.class_token = 0.3;
    model = std::make_unique<ClipModel>(vision, ClipTextConfig::for_tower(vision, 31, 16), *device,
                                        DType::F32);
    model->initialize(3);
    nn::Adamw optimizer(model->trainable_parameters(), {});
    double first = 0.0, last = 0.0;
    for (int step = 0; step < 30; ++step) {
        const autograd::Variable loss = model->loss(batch(), 1.0);
        last = loss.value().item();
        if (step == 0) first = last;
        autograd::backward(loss);
        optimizer.step(1e-2);
        optimizer.clear_gradients();
        model->cap_temperature();
    }
    EXPECT_GT(first, 0.5);
    EXPECT_LT(last, 0.01);
    const Tensor scale = model->text_table().at("logit_scale").variable.value();
    scale.fill(5.0);
    model->cap_temperature();
    EXPECT_NEAR(scale.item(), std::log(100.0), 1e-6);
}

TEST_F(ClipTest, TowersWithoutAClassTokenUseTheMeanPatch) {
    VisionConfig vision = model->vision_config();
    vision.kind = VisionConfig::Kind::Siglip;
    ClipModel siglip(vision, model->text_config(), *device, DType::F32);
    siglip.initialize(5);
    autograd::backward(siglip.loss(batch(), 1.0));
    for (const nn::Parameter* parameter : siglip.trainable_parameters())
        EXPECT_TRUE(parameter->variable.grad().defined()) << parameter->name;
}

TEST_F(ClipTest, ErrorsNameTheMistake) {
    const std::vector<int32_t> text = {1, 2};
    const std::vector<int32_t> image = {kImageToken};
    const std::vector<float> pixels(3 * 15 * 15);
    EXPECT_THROW(make_clip_batch(*device, {{text, {}, {}}}), Error);
    EXPECT_THROW(make_clip_batch(*device, {{image, {}, {{Shape{3, 15, 15}, pixels, 1}}}}), Error);
    const std::vector<int32_t> long_text(17, 4);
    const ClipBatch batch =
        make_clip_batch(*device, {{long_text, {}, {{Shape{3, 15, 15}, pixels, 1}}}});
    EXPECT_THROW(model->loss(batch, 1.0), Error);
}

}  // namespace
}  // namespace vila::models
