// l2_normalize, compared with its formula.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class L2Normalize : public OpTest {
  public:
    explicit L2Normalize(double eps) : eps_(eps) {}
    std::string name() const override { return "l2_normalize"; }
    std::vector<Sizes> sizes() const override { return row_sizes(); }  // R, C
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const int64_t rows = n[0], columns = n[1];
        Array y = in.at("x");
        for (int64_t r = 0; r < rows; ++r) {
            double squares = 0.0;
            for (int64_t c = 0; c < columns; ++c)
                squares += y[r * columns + c] * y[r * columns + c];
            for (int64_t c = 0; c < columns; ++c)
                y[r * columns + c] /= std::max(std::sqrt(squares), eps_);
        }
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::l2_normalize(in.at("x"), eps_);
    }
    // Backward subtracts nearly equal numbers, computed from the result, which is rounded in bf16.
    Tolerance gradient_tolerance(DType dtype) const override {
        return dtype == DType::BF16 ? Tolerance{0x1p-8, 0x1p-8} : tolerance(dtype);
    }

  private:
    double eps_;
};

}  // namespace

TEST(OpL2Normalize, Agrees) {
    EXPECT_EQ(check_op(L2Normalize(1e-12)), "");
}

TEST(OpL2Normalize, ClampsShortRows) {
    // eps is larger than the norm of every row: the result is x / eps, with the gradient of that.
    EXPECT_EQ(check_op(L2Normalize(1000.0)), "");
    GuardedDevice device;
    const Variable zero(Tensor::zeros(device, {1, 3}, DType::F32), true);
    const Variable y = autograd::l2_normalize(zero);
    EXPECT_EQ(y.value().to_vector<double>(), std::vector<double>(3, 0.0));
}

}  // namespace vila::testing
