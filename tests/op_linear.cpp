// linear against loops, with and without bias.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/driver.h"
#include "tests/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Linear : public OpTest {
  public:
    explicit Linear(bool bias) : bias_(bias) {}
    std::string name() const override { return "linear"; }
    std::vector<Sizes> sizes() const override {  // R, C, D
        return {{0, 5, 3},    {1, 1, 1},    {3, 7, 5},   {17, 16, 33},
                {33, 65, 16}, {131, 17, 8}, {1, 129, 35}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        std::vector<Operand> all = {normal("x", {n[0], n[1]}), normal("weight", {n[2], n[1]})};
        if (bias_) all.push_back(normal("bias", {n[2]}));
        return all;
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array y = Array::of({n[0], n[2]});
        for (int64_t r = 0; r < n[0]; ++r)
            for (int64_t d = 0; d < n[2]; ++d) {
                double sum = bias_ ? in.at("bias")[d] : 0.0;
                for (int64_t c = 0; c < n[1]; ++c)
                    sum += in.at("x")[r * n[1] + c] * in.at("weight")[d * n[1] + c];
                y[r * n[2] + d] = sum;
            }
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::linear(in.at("x"), in.at("weight"), bias_ ? in.at("bias") : Variable());
    }

  private:
    bool bias_;
};

}  // namespace

TEST(OpLinear, Agrees) {
    EXPECT_EQ(check_op(Linear(false)), "");
    EXPECT_EQ(check_op(Linear(true)), "");
}

TEST(OpLinear, AccumulatesWeightGradientsInF32) {
    // The second contribution would vanish in bf16.
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
}

}  // namespace vila::testing
