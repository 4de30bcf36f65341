// gelu, elementwise.

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

double gelu(double x, GeluKind kind) {
    const double pi = std::numbers::pi;
    switch (kind) {
        case GeluKind::Erf:
            return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
        case GeluKind::Tanh:
            return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / pi) * (x + 0.044715 * x * x * x)));
        case GeluKind::Quick:
            return x / (1.0 + std::exp(-1.702 * x));
    }
    return 0.0;
}

class Gelu : public OpTest {
  public:
    explicit Gelu(GeluKind kind) : kind_(kind) {}
    std::string name() const override { return "gelu"; }
    std::vector<Sizes> sizes() const override { return flat_sizes(); }
    bool checks_rank(const std::string&) const override { return false; }
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0]}, 2.0)};
    }
    Array reference(const Sizes&, const Arrays& in) const override {
        Array y = in.at("x");
        for (double& value : y.values) value = gelu(value, kind_);
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::gelu(in.at("x"), kind_);
    }

  private:
    GeluKind kind_;
};

}  // namespace

TEST(OpGelu, Agrees) {
    EXPECT_EQ(check_op(Gelu(GeluKind::Erf)), "");
    EXPECT_EQ(check_op(Gelu(GeluKind::Tanh)), "");
    EXPECT_EQ(check_op(Gelu(GeluKind::Quick)), "");
}

TEST(OpGelu, IsAccurateInTheTails) {
    GuardedDevice device;
    const std::vector<float> x = {-1000.0F, -60.0F, -20.0F, 0.0F, 20.0F, 60.0F, 1000.0F};
    for (const GeluKind kind : {GeluKind::Erf, GeluKind::Tanh, GeluKind::Quick}) {
        const Variable leaf(Tensor::from_values(device, {7}, x), true);
        const Variable y = autograd::gelu(leaf, kind);
        autograd::backward(autograd::sum(y));
        const std::vector<double> value = y.value().to_vector<double>();
        const std::vector<double> slope = leaf.grad().to_vector<double>();
        for (size_t i = 0; i < x.size(); ++i) {
            EXPECT_NEAR(value[i], x[i] > 0 ? x[i] : 0.0F, 1e-9);
            EXPECT_NEAR(slope[i], x[i] > 0 ? 1.0 : x[i] < 0 ? 0.0 : 0.5, 1e-7);
        }
    }
}

}  // namespace vila::testing
