// layer_norm, compared with its formula.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

// Large, so that a row of one element, whose variance is 0, does not magnify rounding errors.
constexpr double kEps = 1e-2;

class LayerNorm : public OpTest {
  public:
    std::string name() const override { return "layer_norm"; }
    std::vector<Sizes> sizes() const override { return row_sizes(); }  // R, C
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]}), normal("weight", {n[1]}), normal("bias", {n[1]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const int64_t rows = n[0], columns = n[1];
        const Array &x = in.at("x"), &weight = in.at("weight"), &bias = in.at("bias");
        Array y = Array::of({rows, columns});
        for (int64_t r = 0; r < rows; ++r) {
            double mean = 0.0, variance = 0.0;
            for (int64_t c = 0; c < columns; ++c) mean += x[r * columns + c] / double(columns);
            for (int64_t c = 0; c < columns; ++c)
                variance += std::pow(x[r * columns + c] - mean, 2) / double(columns);
            for (int64_t c = 0; c < columns; ++c)
                y[r * columns + c] =
                    (x[r * columns + c] - mean) / std::sqrt(variance + kEps) * weight[c] + bias[c];
        }
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::layer_norm(in.at("x"), in.at("weight"), in.at("bias"), kEps);
    }
};

}  // namespace

TEST(OpLayerNorm, Agrees) {
    EXPECT_EQ(check_op(LayerNorm()), "");
}

TEST(OpLayerNorm, IsAccurateForALargeMean) {
    // A one-pass variance, from the sum and the sum of squares, would lose all digits here.
    GuardedDevice device;
    const Variable x(Tensor::from_values<float>(device, {1, 4}, {10001, 10002, 10003, 10004}));
    const Variable one(Tensor::full(device, {4}, DType::F32, 1.0));
    const Variable zero(Tensor::zeros(device, {4}, DType::F32));
    const auto y = autograd::layer_norm(x, one, zero, 0.0).value().to_vector<double>();
    EXPECT_NEAR(y[0], -1.3416407865, 1e-6);
    EXPECT_NEAR(y[3], 1.3416407865, 1e-6);
}

TEST(OpLayerNorm, NamesTheWrongOperand) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {2, 4}, DType::F32));
    const Variable right(Tensor::zeros(device, {4}, DType::F32));
    const Variable wrong(Tensor::zeros(device, {3}, DType::F32));
    EXPECT_EQ(expect_error("[layer_norm] weight has shape (3): expected (4)",
                           [&] { autograd::layer_norm(x, wrong, right, kEps); }),
              "");
    EXPECT_EQ(expect_error("[layer_norm] bias has shape (3): expected (4)",
                           [&] { autograd::layer_norm(x, right, wrong, kEps); }),
              "");
}

}  // namespace vila::testing
