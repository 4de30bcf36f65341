// gather_rows and its backward pass, scatter_add_rows; an index of -1 means a row of zeros.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class GatherRows : public OpTest {
  public:
    std::string name() const override { return "gather_rows"; }
    std::vector<Sizes> sizes() const override {  // M, C, R
        return {{3, 5, 0}, {4, 1, 7}, {5, 17, 33}, {300, 16, 131}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        std::vector<double> rows;
        for (int64_t r = 0; r < n[2]; ++r) rows.push_back(double((r * r + 2) % (n[0] + 1) - 1));
        return {normal("x", {n[0], n[1]}), index("index", rows)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array y = Array::of({n[2], n[1]});
        for (int64_t r = 0; r < n[2]; ++r)
            for (int64_t c = 0; c < n[1] && in.at("index")[r] >= 0; ++c)
                y[r * n[1] + c] = in.at("x")[int64_t(in.at("index")[r]) * n[1] + c];
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::gather_rows(in.at("x"), in.at("index").value());
    }
};

}  // namespace

TEST(OpGatherRows, Agrees) {
    EXPECT_EQ(check_op(GatherRows()), "");
}

TEST(OpGatherRows, RefusesRowsThatDoNotExist) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {4, 2}, DType::F32));
    for (const int32_t bad : {4, -2}) {
        const Tensor rows = Tensor::from_values<int32_t>(device, {2}, {-1, bad});
        EXPECT_EQ(expect_error(str("[gather_rows] index ", bad, " at position 1: expected -1 to 3"),
                               [&] { autograd::gather_rows(x, rows); }),
                  "");
    }
}

}  // namespace vila::testing
