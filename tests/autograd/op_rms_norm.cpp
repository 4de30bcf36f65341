// rms_norm, compared with its formula.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/cpu/cpu_device.h"
#include "tests/support/driver.h"

namespace vila::testing {

namespace {

constexpr double kEps = 1e-5;

class RmsNorm : public OpTest {
  public:
    std::string name() const override { return "rms_norm"; }
    std::vector<Sizes> sizes() const override { return row_sizes(); }  // R, C
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]}), normal("weight", {n[1]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const int64_t rows = n[0], columns = n[1];
        const Array &x = in.at("x"), &weight = in.at("weight");
        Array y = Array::of({rows, columns});
        for (int64_t r = 0; r < rows; ++r) {
            double mean_square = 0.0;
            for (int64_t c = 0; c < columns; ++c)
                mean_square += x[r * columns + c] * x[r * columns + c] / double(columns);
            for (int64_t c = 0; c < columns; ++c)
                y[r * columns + c] = x[r * columns + c] / std::sqrt(mean_square + kEps) * weight[c];
        }
        return y;
    }
    autograd::Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::rms_norm(in.at("x"), in.at("weight"), kEps);
    }
};

}  // namespace

TEST(OpRmsNorm, Agrees) {
    EXPECT_EQ(check_op(RmsNorm()), "");
}

TEST(OpRmsNorm, NamesTheWrongWeight) {
    const auto device = make_cpu_device(1);
    const autograd::Variable x(Tensor::zeros(*device, {2, 4}, DType::F32));
    const autograd::Variable weight(Tensor::zeros(*device, {3}, DType::F32));
    EXPECT_EQ(expect_error("[rms_norm] weight has shape (3): expected (4)",
                           [&] { autograd::rms_norm(x, weight, kEps); }),
              "");
}

}  // namespace vila::testing
