// embedding: rows by id, and the gradients of rows that are used several times.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class Embedding : public OpTest {
  public:
    std::string name() const override { return "embedding"; }
    std::vector<Sizes> sizes() const override {  // V, C, R
        return {{3, 5, 0}, {4, 1, 7}, {5, 17, 33}, {300, 16, 131}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        std::vector<double> ids;
        for (int64_t r = 0; r < n[2]; ++r) ids.push_back(double((r * r + 2) % n[0]));
        return {normal("table", {n[0], n[1]}), index("ids", ids)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        Array y = Array::of({n[2], n[1]});
        for (int64_t r = 0; r < n[2]; ++r)
            for (int64_t c = 0; c < n[1]; ++c)
                y[r * n[1] + c] = in.at("table")[int64_t(in.at("ids")[r]) * n[1] + c];
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::embedding(in.at("table"), in.at("ids").value());
    }
};

}  // namespace

TEST(OpEmbedding, Agrees) {
    EXPECT_EQ(check_op(Embedding()), "");
}

TEST(OpEmbedding, RefusesIdsOutsideTheTable) {
    GuardedDevice device;
    const Variable table(Tensor::zeros(device, {4, 2}, DType::F32));
    for (const int32_t bad : {4, -1, -200}) {
        const Tensor ids = Tensor::from_values<int32_t>(device, {3}, {0, 3, bad});
        EXPECT_EQ(expect_error(str("[embedding] index ", bad, " at position 2: expected 0 to 3"),
                               [&] { autograd::embedding(table, ids); }),
                  "");
    }
}

}  // namespace vila::testing
