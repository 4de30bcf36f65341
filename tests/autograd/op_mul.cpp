// mul, for every pattern of broadcasting.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/autograd/broadcast_op.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Mul : public BroadcastOp {
  public:
    using BroadcastOp::BroadcastOp;
    std::string name() const override { return "mul"; }
    double combine(double a, double b) const override { return a * b; }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::mul(in.at("a"), in.at("b"));
    }
};

}  // namespace

TEST(OpMul, Agrees) {
    for (const BroadcastShapes& shapes : broadcast_shapes())
        EXPECT_EQ(check_op(Mul(shapes)), "") << shapes.a << " and " << shapes.b;
}

TEST(OpMul, RefusesShapesThatDoNotBroadcast) {
    GuardedDevice device;
    const Variable a(Tensor::zeros(device, {4, 3}, DType::F32));
    const Variable b(Tensor::zeros(device, {4}, DType::F32));
    EXPECT_EQ(expect_error("[mul] shapes (4, 3) and (4) do not broadcast: expected equal extents",
                           [&] { autograd::mul(a, b); }),
              "");
    const Variable wide(Tensor::zeros(device, {3}, DType::F64));
    EXPECT_EQ(expect_error("[mul] b has dtype f64: expected f32", [&] { autograd::mul(a, wide); }),
              "");
}

}  // namespace vila::testing
