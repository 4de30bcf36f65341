// The tape: the gradient sums of backward(), the order in which it runs, its callbacks, and the
// memory that it frees.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/gradcheck.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class AutogradBackward : public ::testing::Test {
  protected:
    Variable leaf(const std::string& name, const Shape& shape, DType dtype = DType::F64) {
        const Array values = {shape, draw_normal(name, shape.numel())};
        return Variable(make_tensor(device_, values, dtype), true);
    }
    GuardedDevice device_;
};

std::vector<double> values(const Tensor& tensor) {
    return tensor.to_vector<double>();
}

}  // namespace

TEST_F(AutogradBackward, AddsGradientsOfAVariableUsedTwice) {
    const Variable x = leaf("x", {2, 3});
    autograd::backward(autograd::sum(autograd::add(x, x)));
    EXPECT_EQ(values(x.grad()), std::vector<double>(6, 2.0));
}

TEST_F(AutogradBackward, AddsGradientsInsideTheGraph) {
    const Variable x = leaf("x", {3, 4}), y = leaf("y", {3, 4});
    EXPECT_EQ(check_gradients({{"x", x}, {"y", y}},
                              [&] {
                                  const Variable shared = autograd::mul(x, y);
                                  const Variable left = autograd::exp(shared);
                                  const Variable right = autograd::mul(shared, x);
                                  return autograd::add(autograd::mul(left, right), shared);
                              }),
              "");
}

TEST_F(AutogradBackward, DoesNotMixGradientsThatShareMemory) {
    // Both operands of the addition get the same dy. Adding to one of the gradients must not change
    // the other.
    const Variable x = leaf("x", {4}), y = leaf("y", {4});
    EXPECT_EQ(check_gradients({{"x", x}, {"y", y}},
                              [&] {
                                  const Variable a = autograd::scale(x, 3.0);
                                  const Variable b = autograd::scale(y, 5.0);
                                  const Variable product = autograd::mul(a, a);
                                  return autograd::add(product, autograd::add(a, b));
                              }),
              "");
}

TEST_F(AutogradBackward, AccumulatesOverCalls) {
    Variable x = leaf("x", {3});
    for (int call = 0; call < 3; ++call) autograd::backward(autograd::sum(x));
    EXPECT_EQ(values(x.grad()), std::vector<double>(3, 3.0));
    x.clear_grad();
    EXPECT_FALSE(x.grad().defined());
}

TEST_F(AutogradBackward, StartsFromAGivenGradient) {
    const Variable x = leaf("x", {3});
    const Variable y = autograd::scale(x, 2.0);
    autograd::backward(y, Tensor::from_values<double>(device_, {3}, {1.0, 10.0, 100.0}));
    EXPECT_EQ(values(x.grad()), (std::vector<double>{2.0, 20.0, 200.0}));
}

TEST_F(AutogradBackward, NeedsAScalarOrAGradient) {
    const Variable x = leaf("x", {3});
    EXPECT_EQ(expect_error("elements of a loss: expected 1, got 3",
                           [&] { autograd::backward(autograd::scale(x, 2.0)); }),
              "");
    const Variable constant(x.value());
    EXPECT_EQ(expect_error("backward from a variable that depends on no parameter",
                           [&] { autograd::backward(autograd::sum(constant)); }),
              "");
}

TEST_F(AutogradBackward, RefusesAFreedGraph) {
    const Variable x = leaf("x", {3});
    const Variable shared = autograd::exp(x);
    const Variable loss = autograd::sum(shared);
    autograd::backward(loss);
    EXPECT_EQ(expect_error("[sum] backward through a graph that was already freed",
                           [&] { autograd::backward(loss); }),
              "");
    EXPECT_EQ(expect_error("[exp] backward through a graph that was already freed",
                           [&] { autograd::backward(autograd::sum(shared)); }),
              "");
    // The leaf can still be used.
    int calls = 0;
    Variable again = x;
    again.on_grad_complete([&](const Tensor&) { ++calls; });
    autograd::backward(autograd::sum(again));
    EXPECT_EQ(calls, 1);
}

TEST_F(AutogradBackward, FreesSavedTensors) {
    const Variable x = leaf("x", {1000});
    const int64_t before = device_.memory().live;
    Variable y = x;
    for (int i = 0; i < 10; ++i) y = autograd::exp(autograd::scale(y, 0.1));
    const Variable loss = autograd::sum(y);
    y = Variable();
    EXPECT_GT(device_.memory().live, before + 10 * 8000);
    autograd::backward(loss);
    // The gradient of x and the loss are left.
    EXPECT_EQ(device_.memory().live, before + 8000 + 8);
}

TEST_F(AutogradBackward, RecordsNothingUnderNoGrad) {
    const Variable x = leaf("x", {1000});
    const int64_t before = device_.memory().live;
    {
        const autograd::NoGrad no_grad(device_);
        const Variable y = autograd::exp(autograd::scale(x, 2.0));
        EXPECT_FALSE(y.requires_grad());
        EXPECT_EQ(device_.memory().live, before + 8000);
        const autograd::NoGrad nested(device_);
    }
    EXPECT_TRUE(autograd::scale(x, 2.0).requires_grad());
    EXPECT_FALSE(autograd::scale(x.detach(), 2.0).requires_grad());
}

TEST_F(AutogradBackward, KeepsGradientsOfBf16LeavesInF32) {
    const Variable x(Tensor::full(device_, {4}, DType::BF16, 1.0), true);
    // bf16 cannot represent 256 + 1: a sum in bf16 would stay at 256.
    for (int i = 0; i < 257; ++i) autograd::backward(autograd::sum(x));
    EXPECT_EQ(x.grad().dtype(), DType::F32);
    EXPECT_EQ(values(x.grad()), std::vector<double>(4, 257.0));
}

TEST_F(AutogradBackward, AddsIntoAGivenBuffer) {
    Variable x = leaf("x", {2, 2}, DType::BF16);
    const Tensor bucket = Tensor::full(device_, {10}, DType::F32, 1.0);
    x.set_grad(bucket.slice(0, 3, 7).reshape({2, 2}));
    autograd::backward(autograd::sum(autograd::scale(x, 2.0)));
    EXPECT_EQ(values(bucket), (std::vector<double>{1, 1, 1, 3, 3, 3, 3, 1, 1, 1}));
    EXPECT_EQ(expect_error("shape of a gradient buffer: expected (2, 2), got (10)",
                           [&] { x.set_grad(bucket); }),
              "");
    EXPECT_EQ(expect_error("dtype of a gradient buffer: expected f32, got bf16",
                           [&] {
                               x.set_grad(bucket.slice(0, 0, 4).reshape({2, 2}).to(DType::BF16));
                           }),
              "");
}

TEST_F(AutogradBackward, CallsBackOncePerLeafAfterTheLastContribution) {
    Variable x = leaf("x", {3}), unused = leaf("unused", {3}), y = leaf("y", {3});
    std::vector<std::string> completed;
    x.on_grad_complete([&](const Tensor& grad) {
        completed.push_back("x");
        EXPECT_EQ(values(grad), std::vector<double>(3, 6.0));
    });
    y.on_grad_complete([&](const Tensor&) { completed.push_back("y"); });
    unused.on_grad_complete([&](const Tensor&) { completed.push_back("unused"); });
    // x is used early, late, and twice by one operator; y only by the last operator.
    const Variable early = autograd::add(x, x);
    const Variable late = autograd::add(autograd::scale(early, 1.5), autograd::scale(x, 3.0));
    autograd::backward(autograd::sum(autograd::add(late, y)));
    EXPECT_EQ(completed, (std::vector<std::string>{"y", "x"}));
}

TEST_F(AutogradBackward, RunsInReverseOrderOfRecording) {
    // The order of additions must not depend on the order of the operands.
    std::vector<std::string> order;
    const Variable x = leaf("x", {3});
    const auto step = [&](const std::string& name, const Variable& in) {
        return autograd::record("step", autograd::scale(in, 1.0).value(), {in},
                                [&order, name, edge = in.edge()](const Tensor& dy) {
                                    order.push_back(name);
                                    edge.add(dy);
                                });
    };
    const Variable first = step("first", x), second = step("second", x);
    const Variable third = step("third", first);
    autograd::backward(autograd::sum(autograd::add(second, third)));
    EXPECT_EQ(order, (std::vector<std::string>{"third", "second", "first"}));
}

TEST_F(AutogradBackward, SurvivesDeepChains) {
    constexpr int kOperators = 400000;
    const auto device = make_cpu_device(1);
    const Variable x(Tensor::full(*device, {1}, DType::F32, 1.0), true);
    const auto chain = [&] {
        Variable y = x;
        for (int i = 0; i < kOperators; ++i) y = autograd::scale(y, 1.0);
        return y;
    };
    autograd::backward(chain());
    EXPECT_EQ(x.grad().item(), 1.0);
    chain();  // also frees a graph that backward() never ran on
}

TEST_F(AutogradBackward, ResetsItsCountsAfterAnError) {
    Variable x = leaf("x", {3});
    int calls = 0;
    x.on_grad_complete([&](const Tensor&) { ++calls; });
    const Variable broken =
        autograd::record("broken", autograd::scale(x, 1.0).value(), {x},
                         [](const Tensor&) { throw Error("broken on purpose"); });
    EXPECT_EQ(expect_error("broken on purpose",
                           [&] { autograd::backward(autograd::sum(autograd::add(broken, x))); }),
              "");
    EXPECT_EQ(calls, 0);
    autograd::backward(autograd::sum(x));
    EXPECT_EQ(calls, 1);
}

TEST_F(AutogradBackward, ALeafNeedsAFloatingDtype) {
    EXPECT_EQ(expect_error("a gradient needs a floating dtype, got i32",
                           [&] { Variable(Tensor::zeros(device_, {2}, DType::I32), true); }),
              "");
}

}  // namespace vila::testing
