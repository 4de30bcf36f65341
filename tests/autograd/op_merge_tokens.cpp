// merge_tokens, compared with its definition, for both token orders.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

// Sizes: B, side, C.
class MergeTokens : public OpTest {
  public:
    explicit MergeTokens(bool column_major) : column_major_(column_major) {}
    std::string name() const override { return "merge_tokens"; }
    std::vector<Sizes> sizes() const override {
        return {{0, 4, 3}, {1, 1, 1}, {1, 2, 2}, {2, 3, 5}, {1, 4, 17}, {3, 7, 4}, {1, 0, 4}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1] * n[1], n[2]})};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const int64_t B = n[0], side = n[1], C = n[2], merged = (side + 1) / 2;
        Array y = Array::of({B, merged * merged, 4 * C});
        for (int64_t b = 0; b < B; ++b)
            for (int64_t row = 0; row < side; ++row)
                for (int64_t column = 0; column < side; ++column)
                    for (int64_t c = 0; c < C; ++c) {
                        const int64_t token = column_major_ ? column / 2 * merged + row / 2
                                                            : row / 2 * merged + column / 2;
                        const int64_t channel = (row % 2 * 2 + column % 2) * C + c;
                        y[(b * merged * merged + token) * 4 * C + channel] =
                            in.at("x")[((b * side + row) * side + column) * C + c];
                    }
        return y;
    }
    autograd::Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::merge_tokens(in.at("x"), column_major_);
    }

  private:
    bool column_major_;
};

}  // namespace

TEST(OpMergeTokens, AgreesAlongRows) {
    EXPECT_EQ(check_op(MergeTokens(false)), "");
}

TEST(OpMergeTokens, AgreesAlongColumns) {
    EXPECT_EQ(check_op(MergeTokens(true)), "");
}

TEST(OpMergeTokens, RefusesTokensThatDoNotFormASquare) {
    GuardedDevice device;
    const autograd::Variable x(Tensor::zeros(device, {1, 6, 4}, DType::F32));
    EXPECT_EQ(expect_error("[merge_tokens] 6 tokens: expected a square",
                           [&] { autograd::merge_tokens(x, false); }),
              "");
}

}  // namespace vila::testing
