// linear, compared with loops, with and without bias, residual and GELU.

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Linear : public OpTest {
  public:
    explicit Linear(bool bias, bool residual = false, std::optional<GeluKind> gelu = {})
        : bias_(bias), residual_(residual), gelu_(gelu) {}
    std::string name() const override { return "linear"; }
    std::vector<Sizes> sizes() const override {  // R, C, D
        return {{0, 5, 3},    {1, 1, 1},    {3, 7, 5},    {17, 16, 33},
                {33, 65, 16}, {131, 17, 8}, {1, 129, 35}, {5, 0, 8}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        std::vector<Operand> all = {normal("x", {n[0], n[1]}), normal("weight", {n[2], n[1]})};
        if (bias_) all.push_back(normal("bias", {n[2]}));
        if (residual_) all.push_back(normal("residual", {n[0], n[2]}));
        return all;
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array y = Array::of({n[0], n[2]});
        for (int64_t r = 0; r < n[0]; ++r)
            for (int64_t d = 0; d < n[2]; ++d) {
                double sum = bias_ ? in.at("bias")[d] : 0.0;
                for (int64_t c = 0; c < n[1]; ++c)
                    sum += in.at("x")[r * n[1] + c] * in.at("weight")[d * n[1] + c];
                if (residual_) sum += in.at("residual")[r * n[2] + d];
                y[r * n[2] + d] = gelu_ ? gelu(sum) : sum;
            }
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::linear(
            in.at("x"), in.at("weight"), bias_ ? in.at("bias") : Variable(),
            {.residual = residual_ ? in.at("residual") : Variable(), .gelu = gelu_});
    }
    // In bf16, residual and GELU are applied to a rounded sum, so the error is 2^-9 of that sum,
    // not of the result.
    Tolerance value_tolerance(DType dtype) const override {
        if (dtype != DType::BF16 || (!gelu_ && !residual_)) return tolerance(dtype);
        return {0x1p-7, 0x1p-8};
    }

  private:
    double gelu(double x) const {
        if (*gelu_ == GeluKind::Erf) return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
        const double inner = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
        return 0.5 * x * (1.0 + std::tanh(inner));
    }

    bool bias_, residual_;
    std::optional<GeluKind> gelu_;
};

}  // namespace

TEST(OpLinear, Agrees) {
    EXPECT_EQ(check_op(Linear(false)), "");
    EXPECT_EQ(check_op(Linear(true)), "");
}

TEST(OpLinear, AgreesWithEpilogues) {
    EXPECT_EQ(check_op(Linear(false, true)), "");
    EXPECT_EQ(check_op(Linear(true, true)), "");
    EXPECT_EQ(check_op(Linear(true, false, GeluKind::Tanh)), "");
    EXPECT_EQ(check_op(Linear(false, true, GeluKind::Erf)), "");
}

TEST(OpLinear, AppliesGeluInPlaceWhenNothingIsRecorded) {
    GuardedDevice device;
    const Variable x(make_tensor(device, {{3, 16}, draw_normal("x", 48)}, DType::BF16), true);
    const Variable weight(make_tensor(device, {{8, 16}, draw_normal("w", 128)}, DType::BF16));
    for (const GeluKind kind : {GeluKind::Erf, GeluKind::Tanh}) {
        const Variable recorded = autograd::linear(x, weight, Variable(), {.gelu = kind});
        const autograd::NoGrad no_grad(device);
        const Variable plain = autograd::linear(x, weight, Variable(), {.gelu = kind});
        EXPECT_EQ(plain.value().to_vector<float>(), recorded.value().to_vector<float>());
    }
}

TEST(OpLinear, AccumulatesWeightGradientsInF32) {
    // In bf16, 256 + 1 rounds to 256.
    GuardedDevice device;
    const Variable weight(Tensor::full(device, {1, 1}, DType::BF16, 1.0), true);
    for (const double value : {256.0, 1.0}) {
        const Variable x(Tensor::full(device, {1, 1}, DType::BF16, value));
        autograd::backward(autograd::linear(x, weight, Variable()));
    }
    EXPECT_EQ(weight.grad().item(), 257.0);
}

TEST(OpLinear, NamesTheWrongOperand) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {2, 4}, DType::F32));
    const Variable weight(Tensor::zeros(device, {3, 5}, DType::F32));
    EXPECT_EQ(expect_error("[linear] weight has shape (3, 5): expected (3, 4)",
                           [&] { autograd::linear(x, weight, Variable()); }),
              "");
    const Variable right(Tensor::zeros(device, {3, 4}, DType::F32));
    const Variable bias(Tensor::zeros(device, {4}, DType::F32));
    EXPECT_EQ(expect_error("[linear] bias has shape (4): expected (3)",
                           [&] { autograd::linear(x, right, bias); }),
              "");
    EXPECT_EQ(expect_error("[linear] residual has shape (2, 4): expected (2, 3)",
                           [&] { autograd::linear(x, right, Variable(), {.residual = x}); }),
              "");
}

}  // namespace vila::testing
