// Compares the joined model with PyTorch: logits, gradients, ten training steps and generation.
// Also tests properties of its own: independence of packed sequences, checkpointing, finite
// differences.

#include "models/vila.h"

#include <set>

#include "autograd/ops.h"
#include "models/generate.h"
#include "nn/adamw.h"
#include "nn/schedule.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

constexpr int kSequences = 3;

// Returns the name of a weight in the golden file: PART.NAME.
std::string golden_name(const VilaModel& model, const nn::Parameter& parameter) {
    const auto belongs = [&](const nn::ParameterTable& table) {
        for (const nn::Parameter& one : table)
            if (&one == &parameter) return true;
        return false;
    };
    if (belongs(model.llm_table())) return "llm." + parameter.name;
    if (belongs(model.projector_table())) return "mm_projector." + parameter.name;
    return "vision_tower." + parameter.name.substr(std::string("vision_model.").size());
}

TEST_F(JoinedTest, LogitsMatchPyTorchWithNoOneAndManyImages) {
    const auto model = load(DType::F32);
    for (int i = 0; i < kSequences; ++i)
        EXPECT_LT(relative_error(model->logits(batch(*model, {i})),
                                 golden("joined", "logits." + std::to_string(i))),
                  kFloatTolerance)
            << i;
}

TEST_F(JoinedTest, PackedSequencesAreIndependent) {
    const auto model = load(DType::F32);
    const Batch pack = batch(*model, {2, 0, 1});
    const Tensor packed = model->logits(pack);
    int64_t begin = 0;
    for (const int i : {2, 0, 1}) {
        const Tensor alone = model->logits(batch(*model, {i}));
        const int64_t end = begin + alone.size(0);
        EXPECT_EQ(packed.slice(0, begin, end).to_vector<float>(), alone.to_vector<float>()) << i;
        begin = end;
    }
    EXPECT_EQ(packed.size(0), begin);

    // If the other sequences and their images change but not their lengths, the logits of the last
    // sequence keep their bits.
    const int64_t last = pack.cu_seqlens.to_vector<int32_t>()[2];
    Batch changed = pack;
    std::vector<int32_t> ids = pack.ids.to_vector<int32_t>();
    for (int64_t row = 0; row < last; ++row) ids[row] = (ids[row] + 1) % 61;
    changed.ids = Tensor::from_values(*device, pack.ids.shape(), ids);
    changed.pixels = pack.pixels.clone();
    changed.pixels.slice(0, 0, 3).fill(0.25);
    const Tensor other = model->logits(changed);
    EXPECT_NE(other.slice(0, 0, last).to_vector<float>(),
              packed.slice(0, 0, last).to_vector<float>());
    EXPECT_EQ(other.slice(0, last, begin).to_vector<float>(),
              packed.slice(0, last, begin).to_vector<float>());
}

TEST_F(JoinedTest, Bf16IsCloseToF32) {
    const auto model = load(DType::BF16);
    model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
    const Batch all = batch(*model, {0, 1, 2});
    EXPECT_LT(relative_error(model->logits(batch(*model, {2})), golden("joined", "logits.2")),
              5e-2);
    const autograd::Variable loss = model->loss(all, 1.0 / static_cast<double>(all.loss_tokens()));
    EXPECT_EQ(loss.dtype(), DType::F32);
    EXPECT_NEAR(loss.value().item() / golden("joined", "train.losses").to_vector<double>()[0], 1.0,
                2e-2);
    autograd::backward(loss);
    for (const nn::Parameter* parameter : model->trainable_parameters()) {
        const std::string name = golden_name(*model, *parameter);
        EXPECT_EQ(parameter->variable.grad().dtype(), DType::F32) << name;
        EXPECT_LT(
            relative_error(parameter->variable.grad(), golden("joined", "grad/" + name), 1e-2), 0.3)
            << name;
    }
}

TEST_F(JoinedTest, ImagesAreEncodedIndependently) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const auto model = load(dtype);
        const Tensor pixels = batch(*model, {1, 2}).pixels;
        const Tensor together = model->image_features(pixels).value();
        const int64_t tokens = model->config().image_layout().tile_features;
        for (int64_t i = 0; i < pixels.size(0); ++i) {
            const Tensor alone =
                model->image_features(pixels.slice(0, i, i + 1).contiguous()).value();
            EXPECT_EQ(alone.to_vector<double>(),
                      together.slice(0, i * tokens, (i + 1) * tokens).to_vector<double>())
                << dtype << ", image " << i;
        }
    }
}

TEST_F(JoinedTest, StoredFeaturesEqualPixels) {
    const auto model = load(DType::F32);
    const Batch pixels = batch(*model, {1, 2});
    Batch features = pixels;
    features.features = model->image_features(pixels.pixels).value();
    features.pixels = Tensor();
    EXPECT_EQ(model->logits(features).to_vector<float>(), model->logits(pixels).to_vector<float>());
}

TEST_F(JoinedTest, GradientsMatchPyTorch) {
    const auto model = load(DType::F32);
    model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
    const Batch all = batch(*model, {0, 1, 2});
    Tensor row_losses;
    const autograd::Variable loss =
        model->loss(all, 1.0 / static_cast<double>(all.loss_tokens()), &row_losses);
    EXPECT_EQ(row_losses.size(0), all.loss_tokens());
    EXPECT_NEAR(loss.value().item(), golden("joined", "train.losses").to_vector<double>()[0], 1e-5);
    autograd::backward(loss);
    const auto parameters = model->trainable_parameters();
    EXPECT_EQ(parameters.size(), 2U + 2 * 12 + 4 + 5 + 2 * 16);
    for (const nn::Parameter* parameter : parameters) {
        const std::string name = golden_name(*model, *parameter);
        ASSERT_TRUE(parameter->variable.grad().defined()) << name;
        // A constant added to all keys does not change attention. Without rotation the gradient of
        // a key bias is therefore zero up to rounding, hence the floor.
        EXPECT_LT(
            relative_error(parameter->variable.grad(), golden("joined", "grad/" + name), 1e-3),
            kFloatTolerance)
            << name;
    }
}

TEST_F(JoinedTest, CheckpointingGivesTheSameGradients) {
    const auto gradients = [&](bool checkpointing) {
        const auto model = load(DType::F32);
        model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
        model->set_activation_checkpointing(checkpointing);
        autograd::backward(model->loss(batch(*model, {0, 1, 2}), 0.1));
        std::vector<std::vector<float>> result;
        for (const nn::Parameter* parameter : model->trainable_parameters())
            result.push_back(parameter->variable.grad().to_vector<float>());
        return result;
    };
    EXPECT_EQ(gradients(true), gradients(false));
}

TEST_F(JoinedTest, FrozenPartsGetNoGradients) {
    const auto model = load(DType::F32);
    model->set_trainable({.projector = true});
    for (const bool checkpointing : {false, true}) {
        model->set_activation_checkpointing(checkpointing);
        for (nn::Parameter& parameter : model->projector_table()) parameter.variable.clear_grad();
        const Batch all = batch(*model, {0, 1, 2});
        autograd::backward(model->loss(all, 1.0 / static_cast<double>(all.loss_tokens())));
        EXPECT_EQ(model->trainable_parameters().size(), 4U);
        for (const nn::Parameter& parameter : model->projector_table())
            EXPECT_LT(relative_error(parameter.variable.grad(),
                                     golden("joined", "grad/mm_projector." + parameter.name)),
                      kFloatTolerance)
                << parameter.name;
    }
}

// Compares directional derivatives along one random direction per weight, in f64.
TEST_F(JoinedTest, GradientsMatchFiniteDifferences) {
    const auto model = load(DType::F64);
    model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
    const Batch all = batch(*model, {0, 1, 2});
    autograd::backward(model->loss(all, 1.0));
    const auto loss_at = [&](const Tensor& weight, const std::vector<double>& base,
                             const std::vector<double>& direction, double step) {
        std::vector<double> moved = base;
        for (size_t i = 0; i < moved.size(); ++i) moved[i] += step * direction[i];
        weight.copy_from_host(moved.data());
        const autograd::NoGrad no_grad(*device);
        return model->loss(all, 1.0).value().item();
    };
    uint64_t key = 7;
    for (const nn::Parameter* parameter : model->trainable_parameters()) {
        const Tensor& weight = parameter->variable.value();
        const std::vector<double> base = weight.to_vector<double>();
        const std::vector<double> gradient = parameter->variable.grad().to_vector<double>();
        std::vector<double> direction(base.size());
        ++key;
        double slope = 0.0, length = 0.0;
        for (size_t i = 0; i < base.size(); ++i) {
            direction[i] = random_normal(key, i);
            slope += direction[i] * gradient[i];
            length += gradient[i] * gradient[i];
        }
        // The fourth-order central difference.
        const double h = 1e-3 / std::sqrt(static_cast<double>(base.size()));
        const double difference =
            (8.0 * (loss_at(weight, base, direction, h) - loss_at(weight, base, direction, -h)) -
             (loss_at(weight, base, direction, 2 * h) - loss_at(weight, base, direction, -2 * h))) /
            (12.0 * h);
        weight.copy_from_host(base.data());
        EXPECT_NEAR(difference, slope, 1e-6 * std::max({std::abs(slope), std::sqrt(length), 1e-3}))
            << parameter->name;
    }
}

TEST_F(JoinedTest, TenTrainingStepsMatchPyTorch) {
    const auto model = load(DType::F32);
    model->set_trainable({.llm = true, .projector = true, .vision_tower = true});
    const auto parameters = model->trainable_parameters();
    nn::Adamw optimizer(parameters, {.beta1 = 0.9, .beta2 = 0.98, .weight_decay = 0.1});
    const nn::Schedule schedule = {.peak = 5e-3, .warmup_ratio = 0.2, .total_steps = 10};
    const auto losses = golden("joined", "train.losses").to_vector<double>();
    const auto norms = golden("joined", "train.norms").to_vector<double>();
    const auto rates = golden("joined", "train.rates").to_vector<double>();
    const Batch all = batch(*model, {0, 1, 2});
    for (int64_t step = 0; step < 10; ++step) {
        const auto i = static_cast<size_t>(step);
        // Two micro-batches, as in gradient accumulation.
        double loss = 0.0;
        for (const std::vector<int>& part : {std::vector<int>{0, 1}, std::vector<int>{2}}) {
            const autograd::Variable micro =
                model->loss(batch(*model, part), 1.0 / static_cast<double>(all.loss_tokens()));
            loss += micro.value().item();
            autograd::backward(micro);
        }
        const double norm = nn::gradient_norm(parameters);
        EXPECT_NEAR(loss / losses[i], 1.0, 1e-4) << step;
        EXPECT_NEAR(norm / norms[i], 1.0, 1e-3) << step;
        EXPECT_NEAR(schedule.at(step), rates[i], 1e-9) << step;
        optimizer.step(schedule.at(step), nn::clip_scale(norm, 1.0));
        optimizer.clear_gradients();
    }
}

TEST_F(JoinedTest, GreedyContinuationMatchesTransformers) {
    const auto model = load(DType::F32);
    const OwnedSequence prompt = sequence(1);
    GenerateOptions options;
    options.max_tokens = 64;
    EXPECT_EQ(generate(*model, prompt.get(), options),
              golden("joined", "greedy").to_vector<int32_t>());
}

// Tests sampling too, where the last bit of a logit can matter, and a stop id, so that some
// sequences end early.
TEST_F(JoinedTest, BatchedPromptsWithImagesGiveTheTokensOfEachAlone) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const auto model = load(dtype);
        for (const double temperature : {0.0, 1.0}) {
            GenerateOptions options;
            options.max_tokens = 40;
            options.sampling.temperature = temperature;
            options.sampling.seed = 3;
            options.stop_ids = {7};
            std::vector<OwnedSequence> prompts;
            for (const int i : {2, 0, 1, 1, 2}) prompts.push_back(sequence(i));
            prompts.back().ids.insert(prompts.back().ids.end(), {9, 30, 31, 32, 33});
            std::vector<Sequence> sequences;
            std::vector<std::vector<int32_t>> alone;
            std::set<size_t> lengths;
            for (const OwnedSequence& prompt : prompts) {
                sequences.push_back(prompt.get());
                sequences.back().labels = {};
                alone.push_back(generate(*model, sequences.back(), options));
                lengths.insert(alone.back().size());
            }
            EXPECT_EQ(generate_many(*model, sequences, options), alone) << dtype << temperature;
            if (temperature > 0.0) {
                EXPECT_GT(lengths.size(), 1U);
            }
        }
    }
}

TEST_F(JoinedTest, BatchesMayHaveNoTargetsOrImages) {
    const auto model = load(DType::F32);
    model->set_trainable({.llm = true, .projector = true});
    OwnedSequence text = sequence(0);
    text.labels.clear();
    const Batch silent = make_batch(*device, {text.get()});
    EXPECT_EQ(silent.loss_tokens(), 0);
    const autograd::Variable nothing = model->loss(silent, 1.0);
    EXPECT_EQ(nothing.value().item(), 0.0);
    autograd::backward(nothing);
    autograd::backward(model->loss(batch(*model, {0}), 1.0));
    for (const nn::Parameter& parameter : model->projector_table())
        EXPECT_FALSE(parameter.variable.grad().defined()) << parameter.name;
}

TEST_F(JoinedTest, ErrorsNameTheMistakeInABatch) {
    const auto model = load(DType::F32);
    const auto message = [&](const OwnedSequence& wrong) -> std::string {
        try {
            model->logits(make_batch(*device, {wrong.get()}));
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    };
    OwnedSequence wrong = sequence(1);
    wrong.images.clear();
    EXPECT_EQ(message(wrong), "images of a sequence for its placeholders: expected 1, got 0");
    wrong = sequence(1);
    wrong.labels.pop_back();
    EXPECT_EQ(message(wrong), "a sequence has 7 ids but 6 labels");
    wrong = sequence(1);
    wrong.labels[0] = wrong.ids[0];
    EXPECT_EQ(message(wrong), "the first token of a sequence cannot be a target");
    wrong = sequence(1);
    wrong.image_shape = {3, 15, 14};
    wrong.images[0].resize(3 * 15 * 14);
    EXPECT_EQ(message(wrong),
              "[vit] shape of the pixels: expected (1, 3, 15, 15), got "
              "(1, 3, 15, 14)");
}

}  // namespace
}  // namespace vila::models
