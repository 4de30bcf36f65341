// sum, and the kernel sum_to for every pattern of axes.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Sum : public OpTest {
  public:
    std::string name() const override { return "sum"; }
    std::vector<Sizes> sizes() const override { return flat_sizes(); }
    bool checks_rank(const std::string&) const override { return false; }
    std::vector<Operand> operands(const Sizes& n) const override { return {normal("x", {n[0]})}; }
    Array reference(const Sizes&, const Arrays& in) const override {
        Array y = Array::of({1});
        for (const double value : in.at("x").values) y[0] += value;
        return y;
    }
    // The result is small compared with its terms: about the square root of their number.
    double tolerance_factor(DType) const override { return 4.0; }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::sum(in.at("x"));
    }
};

struct SumShapes {
    Shape x, y;
};

// Sums x to the shape of y by the definition: adds every element of x to one element of y.
Array sum_to_reference(const Array& x, Array y) {
    for (int64_t i = 0; i < x.shape.numel(); ++i) {
        int64_t rest = i, offset = 0, stride = 1;
        for (int back = 1; back <= x.shape.rank(); ++back) {
            const int64_t position = rest % x.shape[-back];
            rest /= x.shape[-back];
            if (back > y.shape.rank()) continue;
            if (y.shape[-back] != 1) offset += position * stride;
            stride *= y.shape[-back];
        }
        y[offset] += x[i];
    }
    return y;
}

}  // namespace

TEST(OpSum, Agrees) {
    EXPECT_EQ(check_op(Sum()), "");
}

TEST(OpSumTo, Agrees) {
    const std::vector<SumShapes> shapes = {
        {{1009}, {1}},              // all axes
        {{257, 33}, {33}},          // columns: a bias
        {{257, 33}, {1, 33}},       // the same, with the axis kept
        {{33, 257}, {33, 1}},       // rows
        {{5, 7, 9}, {7, 9}},        // a batch
        {{5, 7, 9}, {5, 1, 9}},     // the axis in the middle
        {{5, 7, 9}, {1, 7, 1}},     // the axes around it
        {{5, 7, 9}, {5, 7, 9}},     // no axis
        {{0, 7}, {7}},              // no rows
        {{4, 3, 5, 2}, {3, 1, 2}},  // alternating axes
    };
    for (const SumShapes& shape : shapes) {
        for (const DType dtype : {DType::F64, DType::F32, DType::BF16}) {
            for (const bool accumulate : {false, true}) {
                const DType wide = dtype == DType::F64 ? DType::F64 : DType::F32;
                const Array x = {shape.x, rounded(draw_normal("x", shape.x.numel()), dtype)};
                const Array y = {shape.y, rounded(draw_normal("y", shape.y.numel()), wide)};
                const Array expected = sum_to_reference(x, accumulate ? y : Array::of(shape.y));
                std::vector<double> one_thread;
                for (const int threads : {1, 2, 3}) {
                    GuardedDevice device(threads);
                    const Tensor out = make_tensor(device, y, wide);
                    call(device, "sum_to", &Kernels::sum_to,
                         {.x = make_tensor(device, x, dtype), .y = out, .accumulate = accumulate});
                    const Array got = to_array(out);
                    for (int64_t i = 0; i < shape.y.numel(); ++i)
                        ASSERT_TRUE(is_close(got[i], expected[i], tolerance(wide), 30.0))
                            << shape.x << " to " << shape.y << " " << dtype << " element " << i
                            << ": " << got[i] << " for " << expected[i];
                    if (threads == 1) one_thread = got.values;
                    EXPECT_EQ(got.values, one_thread) << shape.x << " to " << shape.y;
                    EXPECT_FALSE(device.damaged());
                }
            }
        }
    }
}

}  // namespace vila::testing
