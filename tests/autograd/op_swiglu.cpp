// swiglu, compared with its formula.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Swiglu : public OpTest {
  public:
    std::string name() const override { return "swiglu"; }
    std::vector<Sizes> sizes() const override { return row_sizes(); }  // R, F
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("gate", {n[0], n[1]}, 2.0), normal("up", {n[0], n[1]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array y = Array::of({n[0], n[1]});
        for (int64_t i = 0; i < n[0] * n[1]; ++i)
            y[i] = in.at("gate")[i] / (1.0 + std::exp(-in.at("gate")[i])) * in.at("up")[i];
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::swiglu(in.at("gate"), in.at("up"));
    }
};

}  // namespace

TEST(OpSwiglu, Agrees) {
    EXPECT_EQ(check_op(Swiglu()), "");
}

TEST(OpSwiglu, RefusesDifferentShapes) {
    GuardedDevice device;
    const Variable gate(Tensor::zeros(device, {2, 4}, DType::F32));
    const Variable up(Tensor::zeros(device, {4, 2}, DType::F32));
    EXPECT_EQ(expect_error("[swiglu] up has shape (4, 2): expected (2, 4)",
                           [&] { autograd::swiglu(gate, up); }),
              "");
}

}  // namespace vila::testing
