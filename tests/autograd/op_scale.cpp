// scale, elementwise.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Scale : public OpTest {
  public:
    std::string name() const override { return "scale"; }
    std::vector<Sizes> sizes() const override { return flat_sizes(); }
    bool checks_rank(const std::string&) const override { return false; }
    std::vector<Operand> operands(const Sizes& n) const override { return {normal("x", {n[0]})}; }
    Array reference(const Sizes&, const Arrays& in) const override {
        Array y = in.at("x");
        for (double& value : y.values) value = -0.37 * value;
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::scale(in.at("x"), -0.37);
    }
};

}  // namespace

TEST(OpScale, Agrees) {
    EXPECT_EQ(check_op(Scale()), "");
}

TEST(OpScale, ConvertsAndAccumulates) {
    for (const DType from : {DType::F64, DType::F32, DType::BF16}) {
        for (const DType to : {DType::F64, DType::F32, DType::BF16}) {
            for (const bool accumulate : {false, true}) {
                GuardedDevice device(2);
                const Array x = {{131}, rounded(draw_normal("x", 131), from)};
                const Array before = {{131}, rounded(draw_normal("y", 131), to)};
                const Tensor y = make_tensor(device, before, to);
                call(device, "scale", &Kernels::scale,
                     {.x = make_tensor(device, x, from),
                      .y = y,
                      .alpha = 0.7,
                      .accumulate = accumulate});
                const Array got = to_array(y);
                for (int64_t i = 0; i < 131; ++i) {
                    const double expected = 0.7 * x[i] + (accumulate ? before[i] : 0.0);
                    // An f32 or bf16 input is scaled in f32 unless the result is f64.
                    const DType worse = to == DType::F64 && from == DType::F64 ? DType::F64
                                        : to == DType::BF16                    ? DType::BF16
                                                                               : DType::F32;
                    ASSERT_TRUE(is_close(got[i], expected, tolerance(worse), 1.0))
                        << from << " to " << to << " element " << i;
                }
                EXPECT_FALSE(device.damaged());
            }
        }
    }
}

}  // namespace vila::testing
