// linear_cross_entropy, compared with -log softmax(hidden weight^T)[target], row by row.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tensor/kernels.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

constexpr double kLossScale = 0.37;

class LinearCrossEntropy : public OpTest {
  public:
    std::string name() const override { return "linear_cross_entropy"; }
    // R, C, V.
    std::vector<Sizes> sizes() const override {
        return {{0, 5, 4}, {2, 3, 4}, {1, 1, 1}, {1, 17, 33}, {3, 1, 70}, {15, 33, 131}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        std::vector<double> targets;
        for (int64_t r = 0; r < n[0]; ++r) targets.push_back(double((r * 7 + 1) % n[2]));
        return {normal("hidden", {n[0], n[1]}), normal("weight", {n[2], n[1]}),
                index("targets", targets)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array loss = Array::of({1});
        for (int64_t r = 0; r < n[0]; ++r) {
            double sum = 0.0, target_logit = 0.0;
            for (int64_t v = 0; v < n[2]; ++v) {
                double logit = 0.0;
                for (int64_t c = 0; c < n[1]; ++c)
                    logit += in.at("hidden")[r * n[1] + c] * in.at("weight")[v * n[1] + c];
                sum += std::exp(logit);
                if (double(v) == in.at("targets")[r]) target_logit = logit;
            }
            loss[0] += kLossScale * (std::log(sum) - target_logit);
        }
        return loss;
    }
    autograd::Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::linear_cross_entropy(in.at("hidden"), in.at("weight"),
                                              in.at("targets").value(), kLossScale);
    }
};

// The results of one call of the kernel.
struct Result {
    Array losses, dhidden, dweight;
};

Result run(Device& device, DType dtype, const Array& hidden, const Array& weight,
           const Array& targets, bool gradients) {
    const DType wide = dtype == DType::F64 ? DType::F64 : DType::F32;
    LinearCrossEntropyArgs args = {.hidden = make_tensor(device, hidden, dtype),
                                   .weight = make_tensor(device, weight, dtype),
                                   .targets = make_tensor(device, targets, DType::I32),
                                   .grad_scale = kLossScale,
                                   .losses = Tensor::empty(device, {hidden.shape[0]}, wide),
                                   .dhidden = {},
                                   .dweight = {}};
    if (gradients) {
        args.dhidden = Tensor::empty(device, hidden.shape, dtype);
        args.dweight = Tensor::full(device, weight.shape, wide, 0.25);
    }
    call(device, "linear_cross_entropy", &Kernels::linear_cross_entropy, args);
    if (!gradients) return {to_array(args.losses), {}, {}};
    return {to_array(args.losses), to_array(args.dhidden), to_array(args.dweight)};
}

double largest_error(const Array& got, const Array& expected) {
    double error = got.shape == expected.shape ? 0.0 : INFINITY;
    for (size_t i = 0; i < expected.values.size(); ++i) {
        const double off = std::fabs(got.values[i] - expected.values[i]);
        error = std::isnan(off) ? INFINITY : std::max(error, off);
    }
    return error;
}

}  // namespace

TEST(OpLinearCrossEntropy, Agrees) {
    EXPECT_EQ(check_op(LinearCrossEntropy()), "");
}

// There are more rows than one chunk holds (128 for this vocabulary), so that dweight is a sum over
// chunks. The kernel adds to the initial values of dweight.
TEST(OpLinearCrossEntropy, SumsOverChunks) {
    const int64_t vocab = GuardedDevice::slow() ? 1009 : 40009;
    const Array hidden = {{261, 3}, rounded(draw_normal("hidden", 261 * 3), DType::BF16)};
    const Array weight = {{vocab, 3}, rounded(draw_normal("weight", vocab * 3), DType::BF16)};
    Array targets = Array::of({261});
    for (int64_t r = 0; r < 261; ++r) targets[r] = double(r * (vocab - 1) / 260);
    GuardedDevice device(2);
    const Result exact = run(device, DType::F64, hidden, weight, targets, true);
    for (const DType dtype : {DType::F32, DType::BF16}) {
        const Result got = run(device, dtype, hidden, weight, targets, true);
        EXPECT_LT(largest_error(got.losses, exact.losses), 4e-6);
        EXPECT_LT(largest_error(got.dhidden, exact.dhidden), dtype == DType::F32 ? 5e-6 : 5e-3);
        EXPECT_LT(largest_error(got.dweight, exact.dweight), 8e-6);
        const Result forward = run(device, dtype, hidden, weight, targets, false);
        EXPECT_EQ(forward.losses.values, got.losses.values);
    }
    EXPECT_FALSE(device.damaged());
}

// Logits for which exp overflows in f32.
TEST(OpLinearCrossEntropy, StaysFiniteForLargeLogits) {
    const Array hidden = {{2, 1}, {1000.0, -1000.0}};
    const Array weight = {{3, 1}, {1.0, 0.0, -2.0}};
    const Array targets = {{2}, {0.0, 0.0}};
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        GuardedDevice device;
        const Result got = run(device, dtype, hidden, weight, targets, true);
        EXPECT_EQ(got.losses.values, (std::vector<double>{0.0, 3000.0})) << dtype;
        EXPECT_NEAR(got.dhidden[0], 0.0, 1e-6) << dtype;
        EXPECT_NEAR(got.dhidden[1], kLossScale * (-2.0 - 1.0), 0.01) << dtype;
    }
}

TEST(OpLinearCrossEntropy, KeepsNan) {
    const Array hidden = {{2, 1}, {std::nan(""), 1.0}};
    const Array weight = {{70, 1}, draw_normal("weight", 70)};
    const Array targets = {{2}, {0.0, 69.0}};
    for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
        GuardedDevice device;
        const Result got = run(device, dtype, hidden, weight, targets, false);
        EXPECT_TRUE(std::isnan(got.losses[0])) << dtype;
        EXPECT_FALSE(std::isnan(got.losses[1])) << dtype;
    }
}

}  // namespace vila::testing
