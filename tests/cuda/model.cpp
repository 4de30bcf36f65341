// The joined model on the CUDA device (emulated here) against the CPU: loss, gradients, training
// steps, generation.

#include <span>

#include "models/generate.h"
#include "nn/adamw.h"
#include "nn/schedule.h"
#include "tests/support/guarded_device.h"
#include "tests/support/model_goldens.h"

namespace vila::models {
namespace {

using testing::GuardedDevice;

constexpr Trainable kAll = {.llm = true, .projector = true, .vision_tower = true};

class CudaModelTest : public JoinedTest {
  protected:
    // Returns the loss of all three sequences, and the gradient of every weight by name.
    struct Gradients {
        double loss = 0.0;
        std::vector<std::pair<std::string, Tensor>> of_weights;
    };
    Gradients gradients(VilaModel& model) {
        model.set_trainable(kAll);
        const Batch all = batch(model, {0, 1, 2});
        const autograd::Variable loss =
            model.loss(all, 1.0 / static_cast<double>(all.loss_tokens()));
        autograd::backward(loss);
        Gradients result = {loss.value().item(), {}};
        for (const nn::Parameter* parameter : model.trainable_parameters())
            result.of_weights.emplace_back(parameter->name, parameter->variable.grad());
        return result;
    }

    // Returns the losses of `steps` training steps of two micro-batches each.
    std::vector<double> train(VilaModel& model, int64_t steps) {
        model.set_trainable(kAll);
        const auto parameters = model.trainable_parameters();
        nn::Adamw optimizer(parameters, {.beta1 = 0.9, .beta2 = 0.98, .weight_decay = 0.1});
        const nn::Schedule schedule = {.peak = 5e-3, .warmup_ratio = 0.2, .total_steps = 10};
        const auto targets = static_cast<double>(batch(model, {0, 1, 2}).loss_tokens());
        std::vector<double> losses;
        for (int64_t step = 0; step < steps; ++step) {
            losses.push_back(0.0);
            for (const std::vector<int>& part : {std::vector<int>{0, 1}, std::vector<int>{2}}) {
                const autograd::Variable loss = model.loss(batch(model, part), 1.0 / targets);
                losses.back() += loss.value().item();
                autograd::backward(loss);
            }
            optimizer.step(schedule.at(step), nn::clip_scale(nn::gradient_norm(parameters), 1.0));
            optimizer.clear_gradients();
        }
        return losses;
    }

    GuardedDevice gpu;
};

TEST_F(CudaModelTest, LossAndGradientsMatchTheCpu) {
    const auto on_cpu = load(DType::F32), on_gpu = load(DType::F32, gpu);
    const Gradients expected = gradients(*on_cpu), got = gradients(*on_gpu);
    EXPECT_NEAR(got.loss / expected.loss, 1.0, 1e-5);
    ASSERT_EQ(got.of_weights.size(), expected.of_weights.size());
    for (size_t i = 0; i < got.of_weights.size(); ++i) {
        const auto& [name, gradient] = expected.of_weights[i];
        // As in the tests against PyTorch, errors of gradients near zero are measured with a floor.
        EXPECT_LT(relative_error(got.of_weights[i].second, gradient, 1e-3), 1e-5) << name;
    }
    EXPECT_FALSE(gpu.damaged());
}

TEST_F(CudaModelTest, AnyThreadOrderGivesTheSameBits) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        std::vector<std::unique_ptr<GuardedDevice>> devices;  // outlive their tensors
        std::vector<Gradients> results;
        for (const int order : {1, 2, 3}) {
            devices.push_back(std::make_unique<GuardedDevice>(order));
            const auto model = load(dtype, *devices.back());
            results.push_back(gradients(*model));
        }
        for (const Gradients& other : {results[1], results[2]}) {
            EXPECT_EQ(other.loss, results[0].loss);
            for (size_t i = 0; i < other.of_weights.size(); ++i)
                EXPECT_EQ(other.of_weights[i].second.to_vector<float>(),
                          results[0].of_weights[i].second.to_vector<float>())
                    << dtype << ", " << other.of_weights[i].first;
        }
    }
}

TEST_F(CudaModelTest, Bf16StaysCloseToF32) {
    const auto exact = load(DType::F32), model = load(DType::BF16, gpu);
    const Gradients expected = gradients(*exact), got = gradients(*model);
    EXPECT_NEAR(got.loss / expected.loss, 1.0, 2e-2);
    for (size_t i = 0; i < got.of_weights.size(); ++i)
        EXPECT_LT(relative_error(got.of_weights[i].second, expected.of_weights[i].second, 1e-2),
                  0.3)
            << got.of_weights[i].first;
}

TEST_F(CudaModelTest, CheckpointingGivesTheSameGradients) {
    const auto plain = load(DType::F32, gpu), checkpointed = load(DType::F32, gpu);
    checkpointed->set_activation_checkpointing(true);
    const Gradients expected = gradients(*plain), got = gradients(*checkpointed);
    for (size_t i = 0; i < got.of_weights.size(); ++i)
        EXPECT_EQ(got.of_weights[i].second.to_vector<float>(),
                  expected.of_weights[i].second.to_vector<float>())
            << got.of_weights[i].first;
}

TEST_F(CudaModelTest, TenTrainingStepsMatchTheCpu) {
    const auto on_cpu = load(DType::F32), on_gpu = load(DType::F32, gpu);
    const std::vector<double> expected = train(*on_cpu, 10), got = train(*on_gpu, 10);
    const auto golden_losses = golden("joined", "train.losses").to_vector<double>();
    for (size_t step = 0; step < expected.size(); ++step) {
        EXPECT_NEAR(got[step] / expected[step], 1.0, 1e-5) << step;
        EXPECT_NEAR(got[step] / golden_losses[step], 1.0, 1e-4) << step;
    }
    EXPECT_FALSE(gpu.damaged());
}

TEST_F(CudaModelTest, GreedyContinuationMatchesTransformers) {
    const auto model = load(DType::F32, gpu);
    GenerateOptions options;
    options.max_tokens = 16;
    const auto whole = golden("joined", "greedy").to_vector<int32_t>();
    const std::span<const int32_t> expected =
        std::span(whole).first(std::min<size_t>(whole.size(), 16));
    EXPECT_EQ(generate(*model, sequence(1).get(), options),
              std::vector<int32_t>(expected.begin(), expected.end()));
}

}  // namespace
}  // namespace vila::models
