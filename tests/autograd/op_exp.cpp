// exp, elementwise.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tests/support/driver.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Exp : public OpTest {
  public:
    std::string name() const override { return "exp"; }
    std::vector<Sizes> sizes() const override { return flat_sizes(); }
    bool checks_rank(const std::string&) const override { return false; }
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0]}, 3.0)};
    }
    Array reference(const Sizes&, const Arrays& in) const override {
        Array y = in.at("x");
        for (double& value : y.values) value = std::exp(value);
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::exp(in.at("x"));
    }
    // Backward multiplies by the result, which is already rounded in bf16.
    Tolerance gradient_tolerance(DType dtype) const override {
        return tolerance(dtype) * (dtype == DType::BF16 ? 2.0 : 1.0);
    }
};

}  // namespace

TEST(OpExp, Agrees) {
    EXPECT_EQ(check_op(Exp()), "");
}

}  // namespace vila::testing
