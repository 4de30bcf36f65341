// softmax, compared with its formula.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Softmax : public OpTest {
  public:
    std::string name() const override { return "softmax"; }
    std::vector<Sizes> sizes() const override { return row_sizes(); }  // R, C
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]}, 3.0)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const int64_t rows = n[0], columns = n[1];
        Array y = in.at("x");
        for (int64_t r = 0; r < rows; ++r) {
            double sum = 0.0;
            for (int64_t c = 0; c < columns; ++c) sum += std::exp(y[r * columns + c]);
            for (int64_t c = 0; c < columns; ++c)
                y[r * columns + c] = std::exp(y[r * columns + c]) / sum;
        }
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::softmax(in.at("x"));
    }
    // Backward subtracts nearly equal numbers, computed from the result, which is rounded in bf16.
    Tolerance gradient_tolerance(DType dtype) const override {
        return dtype == DType::BF16 ? Tolerance{0x1p-8, 0x1p-8} : tolerance(dtype);
    }
};

}  // namespace

TEST(OpSoftmax, Agrees) {
    EXPECT_EQ(check_op(Softmax()), "");
}

TEST(OpSoftmax, DoesNotOverflow) {
    GuardedDevice device;
    const Variable x(Tensor::from_values<float>(device, {1, 3}, {1000.0F, 1000.0F, -1000.0F}));
    EXPECT_EQ(autograd::softmax(x).value().to_vector<double>(),
              (std::vector<double>{0.5, 0.5, 0.0}));
}

}  // namespace vila::testing
