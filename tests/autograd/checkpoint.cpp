// Activation checkpointing: the same bits with less memory.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

constexpr int64_t kRows = 100, kColumns = 16;

// A chain of residual blocks, which have their own weights and share one. The input is used twice.
struct Model {
    Model(Device& device, DType dtype, int blocks) {
        for (int block = 0; block < blocks; ++block)
            weights.push_back(leaf(device, str("weight ", block), {kColumns, kColumns}, dtype));
        shared = leaf(device, "shared", {kColumns}, dtype);
        input = leaf(device, "input", {kRows, kColumns}, dtype);
    }
    static Variable leaf(Device& device, const std::string& name, const Shape& shape, DType dtype) {
        return Variable(make_tensor(device, {shape, draw_normal(name, shape.numel(), 0.3)}, dtype),
                        true);
    }
    Variable block(const Variable& x, size_t number) const {
        const Variable hidden = autograd::rms_norm(x, shared, 1e-5);
        const Variable wide = autograd::linear(hidden, weights[number], shared);
        return autograd::add(x, autograd::gelu(wide, GeluKind::Erf));
    }
    Variable loss(bool checkpointing) const {
        Variable x = input;
        for (size_t number = 0; number < weights.size(); ++number) {
            const auto body = [this, number](const std::vector<Variable>& in) {
                return block(in.at(0), number);
            };
            x = checkpointing ? autograd::checkpoint({x}, body) : body({x});
        }
        return autograd::sum(autograd::mul(x, autograd::add(x, input)));
    }
    std::vector<Variable> leaves() const {
        std::vector<Variable> all = weights;
        all.push_back(shared);
        all.push_back(input);
        return all;
    }
    std::vector<Variable> weights;
    Variable shared, input;
};

std::vector<std::vector<double>> gradients(const Model& model) {
    std::vector<std::vector<double>> all;
    for (const Variable& leaf : model.leaves()) all.push_back(leaf.grad().to_vector<double>());
    return all;
}

}  // namespace

TEST(AutogradCheckpoint, GivesTheSameBits) {
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        GuardedDevice device;
        const Model plain(device, dtype, 4), saving(device, dtype, 4);
        const Variable plain_loss = plain.loss(false), saving_loss = saving.loss(true);
        EXPECT_EQ(plain_loss.value().item(), saving_loss.value().item());
        autograd::backward(plain_loss);
        autograd::backward(saving_loss);
        EXPECT_EQ(gradients(plain), gradients(saving)) << dtype;
    }
}

TEST(AutogradCheckpoint, LowersThePeak) {
    const auto peak = [](bool checkpointing) {
        GuardedDevice device;
        const Model model(device, DType::F32, 16);
        device.reset_peak();
        const int64_t before = device.memory().live;
        autograd::backward(model.loss(checkpointing));
        return device.memory().peak - before;
    };
    EXPECT_LT(2 * peak(true), peak(false));
}

TEST(AutogradCheckpoint, CallsBackOncePerLeaf) {
    GuardedDevice device;
    Model model(device, DType::F32, 3);
    std::vector<std::string> completed;
    for (size_t i = 0; i < model.weights.size(); ++i)
        model.weights[i].on_grad_complete(
            [&completed, i](const Tensor&) { completed.push_back(str("weight ", i)); });
    model.shared.on_grad_complete([&](const Tensor&) { completed.push_back("shared"); });
    model.input.on_grad_complete([&](const Tensor&) { completed.push_back("input"); });
    autograd::backward(model.loss(true));
    EXPECT_EQ(completed.size(), 5U);
    EXPECT_EQ(completed[0], "weight 2");
    EXPECT_EQ(completed[1], "weight 1");
}

TEST(AutogradCheckpoint, TrainsParametersAfterAFrozenInput) {
    GuardedDevice device;
    Model model(device, DType::F32, 1);
    const Variable frozen = model.input.detach();
    const auto body = [&](const std::vector<Variable>& in) { return model.block(in.at(0), 0); };
    autograd::backward(autograd::sum(autograd::checkpoint({frozen}, body)));
    EXPECT_TRUE(model.weights[0].grad().defined());
    EXPECT_FALSE(model.input.grad().defined());
}

TEST(AutogradCheckpoint, Nests) {
    for (const DType dtype : {DType::F32, DType::BF16}) {
        GuardedDevice device;
        const Model plain(device, dtype, 2), saving(device, dtype, 2);
        autograd::backward(autograd::sum(plain.block(plain.block(plain.input, 0), 1)));
        const auto inner = [&](size_t number) {
            return [&saving, number](const std::vector<Variable>& in) {
                return saving.block(in.at(0), number);
            };
        };
        const auto outer = [&](const std::vector<Variable>& in) {
            return autograd::checkpoint({autograd::checkpoint(in, inner(0))}, inner(1));
        };
        // The input is frozen: only the parameters keep the inner checkpoints in the graph.
        autograd::backward(autograd::sum(autograd::checkpoint({saving.input}, outer)));
        EXPECT_EQ(gradients(plain), gradients(saving)) << dtype;
        Variable parameter = saving.weights[0];
        parameter.clear_grad();
        autograd::backward(autograd::sum(autograd::checkpoint({saving.input.detach()}, outer)));
        EXPECT_EQ(parameter.grad().to_vector<double>(),
                  plain.weights[0].grad().to_vector<double>());
    }
}

TEST(AutogradCheckpoint, TakesAnInputTwice) {
    GuardedDevice device;
    const Variable x = Model::leaf(device, "x", {5}, DType::F32);
    const auto body = [](const std::vector<Variable>& in) {
        return autograd::mul(in.at(0), in.at(1));
    };
    autograd::backward(autograd::sum(autograd::checkpoint({x, x}, body)));
    std::vector<double> twice = x.value().to_vector<double>();
    for (double& value : twice) value *= 2.0;
    EXPECT_EQ(x.grad().to_vector<double>(), twice);
}

TEST(AutogradCheckpoint, RunsOnceWhenNothingIsRecorded) {
    GuardedDevice device;
    const Variable x = Model::leaf(device, "x", {5}, DType::F32);
    int runs = 0;
    const auto body = [&runs](const std::vector<Variable>& in) {
        ++runs;
        return autograd::scale(in.at(0), 2.0);
    };
    {
        const autograd::NoGrad no_grad(device);
        EXPECT_FALSE(autograd::checkpoint({x}, body).requires_grad());
    }
    EXPECT_FALSE(autograd::checkpoint({x.detach()}, body).requires_grad());
    EXPECT_EQ(runs, 2);
    autograd::backward(autograd::sum(autograd::checkpoint({x}, body)));
    EXPECT_EQ(runs, 4);
    EXPECT_EQ(x.grad().to_vector<double>(), std::vector<double>(5, 2.0));
}

}  // namespace vila::testing
