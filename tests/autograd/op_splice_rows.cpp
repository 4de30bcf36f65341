// splice_rows: image rows replace placeholder rows.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class SpliceRows : public OpTest {
  public:
    std::string name() const override { return "splice_rows"; }
    std::vector<Sizes> sizes() const override {  // R, C, M
        return {{4, 5, 0}, {1, 1, 1}, {33, 17, 5}, {131, 16, 64}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        // Every second row, from the last to the first.
        std::vector<double> places;
        for (int64_t m = 0; m < n[2]; ++m) places.push_back(double(n[0] - 1 - 2 * m));
        return {normal("text", {n[0], n[1]}), normal("rows", {n[2], n[1]}), index("index", places)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array y = in.at("text");
        for (int64_t m = 0; m < n[2]; ++m)
            for (int64_t c = 0; c < n[1]; ++c)
                y[int64_t(in.at("index")[m]) * n[1] + c] = in.at("rows")[m * n[1] + c];
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::splice_rows(in.at("text"), in.at("rows"), in.at("index").value());
    }
};

}  // namespace

TEST(OpSpliceRows, Agrees) {
    EXPECT_EQ(check_op(SpliceRows()), "");
}

TEST(OpSpliceRows, RefusesBadIndicesAndShapes) {
    GuardedDevice device;
    const Variable text(Tensor::zeros(device, {4, 2}, DType::F32));
    const Variable rows(Tensor::zeros(device, {2, 2}, DType::F32));
    EXPECT_EQ(expect_error("[scatter_rows] index 4 at position 1: expected 0 to 3",
                           [&] {
                               autograd::splice_rows(
                                   text, rows, Tensor::from_values<int32_t>(device, {2}, {0, 4}));
                           }),
              "");
    EXPECT_EQ(expect_error("[splice_rows] rows has shape (2, 2): expected (3, 2)",
                           [&] {
                               autograd::splice_rows(
                                   text, rows,
                                   Tensor::from_values<int32_t>(device, {3}, {0, 1, 2}));
                           }),
              "");
}

}  // namespace vila::testing
