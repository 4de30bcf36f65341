// The operators that only rearrange data: reshape, concat_rows, slice_columns.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/gradcheck.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Reshape : public OpTest {
  public:
    std::string name() const override { return "reshape"; }
    std::vector<Sizes> sizes() const override { return {{0, 6}, {5, 6}}; }
    bool checks_rank(const std::string&) const override { return false; }
    bool checks_dtype(const std::string&) const override { return false; }
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        return {{n[0], 2, 3}, in.at("x").values};
    }
    Variable apply(const Sizes& n, const Variables& in) const override {
        return autograd::reshape(in.at("x"), {n[0], 2, 3});
    }
};

class ConcatRows : public OpTest {
  public:
    std::string name() const override { return "concat_rows"; }
    std::vector<Sizes> sizes() const override {  // R, Q, C
        return {{0, 0, 4}, {1, 2, 3}, {0, 5, 17}, {5, 0, 17}, {33, 7, 16}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[2]}), normal("y", {n[1], n[2]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array both = {{n[0] + n[1], n[2]}, in.at("x").values};
        both.values.insert(both.values.end(), in.at("y").values.begin(), in.at("y").values.end());
        return both;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::concat_rows(in.at("x"), in.at("y"));
    }
};

class SliceColumns : public OpTest {
  public:
    std::string name() const override { return "slice_columns"; }
    std::vector<Sizes> sizes() const override {  // R, C, begin, end
        return {{0, 4, 1, 3}, {3, 7, 2, 2}, {3, 7, 0, 7}, {33, 17, 5, 17}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array y = Array::of({n[0], n[3] - n[2]});
        int64_t i = 0;
        for (int64_t r = 0; r < n[0]; ++r)
            for (int64_t c = n[2]; c < n[3]; ++c) y[i++] = in.at("x")[r * n[1] + c];
        return y;
    }
    Variable apply(const Sizes& n, const Variables& in) const override {
        return autograd::slice_columns(in.at("x"), n[2], n[3]);
    }
};

}  // namespace

TEST(OpReshape, Agrees) {
    EXPECT_EQ(check_op(Reshape()), "");
}

TEST(OpReshape, InfersOneExtent) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {4, 6}, DType::F32));
    EXPECT_EQ(autograd::reshape(x, {-1, 3}).shape(), (Shape{8, 3}));
    EXPECT_EQ(expect_error("reshape (4, 6) to (-1, 5): the extent -1 has no solution",
                           [&] {
                               autograd::reshape(x, {-1, 5});
                           }),
              "");
}

TEST(OpConcatRows, Agrees) {
    EXPECT_EQ(check_op(ConcatRows()), "");
}

TEST(OpConcatRows, RefusesDifferentColumns) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {4, 6}, DType::F32));
    const Variable y(Tensor::zeros(device, {4, 5}, DType::F32));
    EXPECT_EQ(expect_error("[concat_rows] y has shape (4, 5): expected (4, 6)",
                           [&] { autograd::concat_rows(x, y); }),
              "");
}

TEST(OpSliceColumns, Agrees) {
    EXPECT_EQ(check_op(SliceColumns()), "");
}

TEST(OpSliceColumns, RefusesColumnsThatDoNotExist) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {4, 6}, DType::F32));
    EXPECT_EQ(expect_error("slice [3, 7) of axis 1 of shape (4, 6) is out of range",
                           [&] { autograd::slice_columns(x, 3, 7); }),
              "");
}

TEST(OpSliceColumns, FeedsOperatorsThatNeedWholeRows) {
    GuardedDevice device;
    const Variable x(make_tensor(device, {{3, 8}, draw_normal("x", 24)}, DType::F64), true);
    EXPECT_EQ(check_gradients({{"x", x}},
                              [&] {
                                  const Variable left = autograd::slice_columns(x, 0, 4);
                                  const Variable right = autograd::slice_columns(x, 4, 8);
                                  return autograd::swiglu(left, autograd::reshape(right, {3, 4}));
                              }),
              "");
}

}  // namespace vila::testing
