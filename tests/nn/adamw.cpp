// AdamW over parameters: state, saving, bf16 parameters, clipping; and the learning rate schedule.
// tests/autograd/op_adamw.cpp and tests/models/vila.cpp compare its arithmetic with PyTorch.

#include "nn/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "nn/schedule.h"
#include "tensor/cpu/cpu_device.h"

namespace vila::nn {
namespace {

class AdamwTest : public ::testing::Test {
  protected:
    AdamwTest() : device(make_cpu_device(1)) {
        a = &table.declare(
            {.name = "a", .shape = {3}, .init = {InitKind::Normal, 1.0}, .decay = true});
        b = &table.declare({.name = "b", .shape = {2}, .init = {InitKind::Ones}});
        frozen = &table.declare({.name = "frozen", .shape = {1}, .init = {InitKind::Ones}});
    }

    void start(DType dtype) {
        table.initialize(*device, dtype, 1, true);
        frozen->variable = autograd::Variable(frozen->variable.value());
    }

    void give_gradients(double value) {
        for (Parameter* parameter : {a, b})
            parameter->variable.edge().accumulator(*device).fill(value);
    }

    std::vector<float> values() {
        std::vector<float> all = a->variable.value().to_vector<float>();
        const std::vector<float> more = b->variable.value().to_vector<float>();
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }

    std::unique_ptr<CpuDevice> device;
    ParameterTable table;
    Parameter *a, *b, *frozen;
};

TEST_F(AdamwTest, FirstStepIsTheSignTimesTheRate) {
    start(DType::F32);
    const std::vector<float> before = values();
    Adamw optimizer({a, b, frozen}, {.weight_decay = 0.5});
    EXPECT_EQ(optimizer.parameters().size(), 2U);
    give_gradients(3.0);
    optimizer.step(0.1);
    const std::vector<float> after = values();
    for (size_t i = 0; i < 5; ++i) {
        const float decayed = i < 3 ? before[i] * (1.0f - 0.1f * 0.5f) : before[i];
        EXPECT_NEAR(after[i], decayed - 0.1f, 1e-6) << i;
    }
    EXPECT_EQ(frozen->variable.value().item(), 1.0);
}

TEST_F(AdamwTest, AMissingGradientCountsAsZeros) {
    start(DType::F32);
    Adamw with({a, b}, {}), without({a, b}, {});
    give_gradients(0.0);
    const std::vector<float> before = values();
    with.step(0.1);
    EXPECT_EQ(values(), before);
    with.clear_gradients();
    EXPECT_FALSE(a->variable.grad().defined());
    without.step(0.1);
    EXPECT_EQ(values(), before);
}

TEST_F(AdamwTest, ContinuesFromARestoredStateWithTheSameBits) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        start(dtype);
        Adamw optimizer({a, b}, {.weight_decay = 0.1});
        std::map<std::string, Tensor> saved;
        std::vector<float> halfway;
        for (int step = 0; step < 6; ++step) {
            if (step == 3) {
                for (const auto& [name, tensor] : optimizer.state()) saved[name] = tensor.clone();
                halfway = values();
            }
            give_gradients(std::sin(step));
            optimizer.step(1e-3);
            optimizer.clear_gradients();
        }
        const std::vector<float> expected = values();
        EXPECT_EQ(saved.size(), 6U);
        EXPECT_TRUE(saved.contains("master/a") && saved.contains("exp_avg/a") &&
                    saved.contains("exp_avg_sq/b"));

        start(dtype);
        a->variable.value().fill(9.0);  // restored from the master
        Adamw again({a, b}, {.weight_decay = 0.1});
        again.restore(3, [&](const std::string& name) { return saved.at(name); });
        EXPECT_EQ(again.steps_done(), 3);
        EXPECT_EQ(values(), halfway) << dtype;
        for (int step = 3; step < 6; ++step) {
            give_gradients(std::sin(step));
            again.step(1e-3);
            again.clear_gradients();
        }
        EXPECT_EQ(values(), expected) << dtype;
    }
}

TEST_F(AdamwTest, Bf16ParametersMoveThroughTheirMasters) {
    start(DType::BF16);
    b->variable.value().fill(1.0);
    Adamw optimizer({b}, {});
    // Each step is far smaller than the spacing of bf16 at 1; all steps together are not.
    for (int step = 0; step < 100; ++step) {
        b->variable.edge().accumulator(*device).fill(1.0);
        optimizer.step(1e-4);
        optimizer.clear_gradients();
    }
    EXPECT_NEAR(b->variable.value().to_vector<float>()[0], 0.99, 0.004);
}

TEST_F(AdamwTest, NormAndClip) {
    start(DType::F32);
    EXPECT_EQ(gradient_norm({a, b}), 0.0);
    give_gradients(2.0);
    EXPECT_DOUBLE_EQ(gradient_norm({a, b, frozen}), std::sqrt(20.0));
    EXPECT_EQ(clip_scale(4.0, 1.0), 0.25);
    EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
    EXPECT_EQ(clip_scale(4.0, 0.0), 1.0);
}

TEST_F(AdamwTest, RefusesParametersAndStatesThatDoNotFit) {
    start(DType::F64);
    EXPECT_THROW(Adamw({a}, {}), Error);
    start(DType::F32);
    EXPECT_THROW(Adamw({a, a}, {}), Error);
    Adamw optimizer({a}, {});
    EXPECT_THROW(
        optimizer.restore(
            1, [&](const std::string&) { return Tensor::zeros(*device, {4}, DType::F32); }),
        Error);
}

TEST(ScheduleTest, WarmsUpAndDecays) {
    const Schedule cosine = {.peak = 2.0, .warmup_ratio = 0.03, .total_steps = 100};
    EXPECT_EQ(cosine.warmup_steps(), 3);
    EXPECT_EQ(cosine.at(0), 0.0);
    EXPECT_NEAR(cosine.at(1), 2.0 / 3.0, 1e-12);
    EXPECT_EQ(cosine.at(3), 2.0);
    EXPECT_NEAR(cosine.at(100), 0.0, 1e-12);
    EXPECT_GT(cosine.at(50), cosine.at(51));
    EXPECT_EQ((Schedule{.peak = 1.0, .warmup_ratio = 0.03, .total_steps = 110}).warmup_steps(), 4);
    Schedule floor = cosine;
    floor.final_ratio = 0.05;
    EXPECT_NEAR(floor.at(100), 0.1, 1e-12);
    const Schedule constant = {
        .peak = 2.0, .warmup_ratio = 0.0, .decay = Decay::Constant, .total_steps = 10};
    EXPECT_EQ(constant.at(0), 2.0);
    EXPECT_EQ(constant.at(9), 2.0);
    EXPECT_EQ(decay_from_name("constant"), Decay::Constant);
    EXPECT_THROW(decay_from_name("linear"), Error);
}

}  // namespace
}  // namespace vila::nn
