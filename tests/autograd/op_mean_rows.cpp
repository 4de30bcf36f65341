// mean_rows, for sequences of different lengths, some of them empty.

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

class MeanRows : public OpTest {
  public:
    explicit MeanRows(std::vector<double> cu_seqlens) : cu_seqlens_(std::move(cu_seqlens)) {}
    std::string name() const override { return "mean_rows"; }
    std::vector<Sizes> sizes() const override { return {{40, 1}, {40, 17}, {40, 64}}; }  // R, C
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]}), index("starts", cu_seqlens_)};
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const auto sequences = static_cast<int64_t>(cu_seqlens_.size()) - 1;
        Array y = Array::of({sequences, n[1]});
        for (int64_t b = 0; b < sequences; ++b) {
            const double begin = in.at("starts")[b], end = in.at("starts")[b + 1];
            for (auto r = int64_t(begin); r < int64_t(end); ++r)
                for (int64_t c = 0; c < n[1]; ++c)
                    y[b * n[1] + c] += in.at("x")[r * n[1] + c] / (end - begin);
        }
        return y;
    }
    Variable apply(const Sizes&, const Variables& in) const override {
        return autograd::mean_rows(in.at("x"), in.at("starts").value());
    }

  private:
    std::vector<double> cu_seqlens_;
};

}  // namespace

TEST(OpMeanRows, Agrees) {
    EXPECT_EQ(check_op(MeanRows({0, 40})), "");
    EXPECT_EQ(check_op(MeanRows({0, 1, 18, 18, 40})), "");
    EXPECT_EQ(check_op(MeanRows({3, 7, 38})), "");  // some rows belong to no sequence
    EXPECT_EQ(check_op(MeanRows({0})), "");
}

TEST(OpMeanRows, RefusesOffsetsThatDoNotFit) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {4, 2}, DType::F32));
    const auto run = [&](const std::vector<int32_t>& cu_seqlens) {
        autograd::mean_rows(
            x, Tensor::from_values(device, {static_cast<int64_t>(cu_seqlens.size())}, cu_seqlens));
    };
    EXPECT_EQ(expect_error("[mean_rows] cu_seqlens run from 0 to 5: expected values within 0 to 4",
                           [&] {
                               run({0, 5});
                           }),
              "");
    EXPECT_EQ(expect_error("[mean_rows] cu_seqlens decrease from 3 to 2 at sequence 1",
                           [&] {
                               run({0, 3, 2, 4});
                           }),
              "");
    EXPECT_EQ(expect_error("[mean_rows] cu_seqlens is empty", [&] { run({}); }), "");
}

}  // namespace vila::testing
