// rope, compared with its formula, and followed by its inverse.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tensor/kernels.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

constexpr int64_t kPositions = 50;

// Returns the angle by which pair j (of D / 2) is rotated at a position.
double angle(int64_t position, int64_t j, int64_t D) {
    return double(position) * std::pow(10000.0, -2.0 * double(j) / double(D));
}

Array table(int64_t D, double (*function)(double)) {
    Array made = Array::of({kPositions, D / 2});
    for (int64_t p = 0; p < kPositions; ++p)
        for (int64_t j = 0; j < D / 2; ++j) made[p * (D / 2) + j] = function(angle(p, j, D));
    return made;
}

// Sizes: R, H, D.
class Rope : public OpTest {
  public:
    std::string name() const override { return "rope"; }
    std::vector<Sizes> sizes() const override {
        return {{0, 2, 8}, {1, 1, 2}, {3, 2, 8}, {7, 3, 32}, {5, 4, 66}, {9, 2, 128}, {2, 1, 130}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        std::vector<double> positions;
        for (int64_t r = 0; r < n[0]; ++r) positions.push_back(double(r * 17 % kPositions));
        return {normal("x", {n[0], n[1], n[2]}),
                index("positions", positions),
                {"cos", OperandKind::Wide, table(n[2], std::cos)},
                {"sin", OperandKind::Wide, table(n[2], std::sin)}};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const int64_t H = n[1], D = n[2];
        const Array& x = in.at("x");
        Array y = Array::of(x.shape);
        for (int64_t row = 0; row < n[0] * H; ++row) {
            const auto position = std::llround(in.at("positions")[row / H]);
            for (int64_t j = 0; j < D / 2; ++j) {
                const int64_t low = row * D + j, high = low + D / 2;
                const double c = std::cos(angle(position, j, D));
                const double s = std::sin(angle(position, j, D));
                y[low] = x[low] * c - x[high] * s;
                y[high] = x[high] * c + x[low] * s;
            }
        }
        return y;
    }
    autograd::Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::rope(in.at("x"), in.at("positions").value(), in.at("cos").value(),
                              in.at("sin").value());
    }
};

}  // namespace

TEST(OpRope, Agrees) {
    EXPECT_EQ(check_op(Rope()), "");
}

// Rotates and rotates back, both in place.
TEST(OpRope, InverseUndoesItInPlace) {
    GuardedDevice device;
    const int64_t R = 5, H = 3, D = 40;
    const std::vector<double> values = draw_normal("x", R * H * D);
    const Tensor x = make_tensor(device, {{R, H, D}, values}, DType::F64);
    const Tensor positions = make_tensor(device, {{R}, {4, 0, 49, 7, 1}}, DType::I32);
    const Tensor cos = make_tensor(device, table(D, std::cos), DType::F64);
    const Tensor sin = make_tensor(device, table(D, std::sin), DType::F64);
    call(device, "rope", &Kernels::rope, {x, positions, cos, sin, x});
    const std::vector<double> turned = x.to_vector<double>();
    EXPECT_GT(std::fabs(turned[0] - values[0]), 1e-3);
    call(device, "rope", &Kernels::rope, {x, positions, cos, sin, x, true});
    const std::vector<double> back = x.to_vector<double>();
    for (size_t i = 0; i < back.size(); ++i) EXPECT_NEAR(back[i], values[i], 1e-14);
}

TEST(OpRope, RefusesAnOddHeadDim) {
    GuardedDevice device;
    const autograd::Variable x(Tensor::zeros(device, {2, 1, 3}, DType::F32));
    const Tensor positions = Tensor::zeros(device, {2}, DType::I32);
    const Tensor angles = Tensor::zeros(device, {4, 1}, DType::F32);
    EXPECT_EQ(expect_error("[rope] x has shape (2, 1, 3): expected an even head dim",
                           [&] { autograd::rope(x, positions, angles, angles); }),
              "");
}

TEST(OpRope, NamesAPositionBeyondTheTable) {
    GuardedDevice device;
    const autograd::Variable x(Tensor::zeros(device, {2, 1, 4}, DType::F32));
    const Tensor positions = make_tensor(device, {{2}, {0, 4}}, DType::I32);
    const Tensor angles = Tensor::zeros(device, {4, 2}, DType::F32);
    EXPECT_EQ(expect_error("[rope] index 4 at position 1: expected 0 to 3",
                           [&] { autograd::rope(x, positions, angles, angles); }),
              "");
}

}  // namespace vila::testing
