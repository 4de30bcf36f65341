// Tests the driver on operators that are wrong on purpose: it must report each mistake.

#include "tests/support/driver.h"

#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tensor/cpu/cpu_device.h"
#include "tests/support/gradcheck.h"

namespace vila::testing {

namespace {

enum class Mistake {
    None,
    Output,
    Gradient,
    SinglePrecision,
    OutOfBounds,
    Unwritten,
    Threads,
    Strides,
    ChangesOperand,
    AcceptsAnything,
    Throws,
};

// Records `y` as a function of x with gradient `slope`.
autograd::Variable with_gradient(const autograd::Variable& x, const Tensor& y, double slope) {
    return autograd::record("scale", y, {x}, [edge = x.edge(), slope](const Tensor& dy) {
        edge.add(autograd::scale(autograd::Variable(dy), slope).value());
    });
}

// An operator that doubles x, with one mistake.
class Wrong : public OpTest {
  public:
    explicit Wrong(Mistake mistake) : mistake_(mistake) {}
    std::string name() const override { return "scale"; }
    std::vector<Sizes> sizes() const override { return {{0, 3}, {2, 7}}; }
    std::vector<Operand> operands(const Sizes& n) const override {
        return {normal("x", {n[0], n[1]})};
    }
    bool checks_rank(const std::string&) const override { return false; }
    Array reference(const Sizes&, const Arrays& in) const override {
        Array y = in.at("x");
        for (double& value : y.values) value *= 2.0;
        return y;
    }
    autograd::Variable apply(const Sizes&, const Variables& in) const override {
        const autograd::Variable& x = in.at("x");
        const Tensor value = x.value();
        if (value.numel() == 0) return autograd::scale(x, 2.0);
        if (mistake_ == Mistake::AcceptsAnything && !is_floating(value.dtype())) return x;
        const autograd::Variable y = autograd::scale(x, 2.0);
        switch (mistake_) {
            case Mistake::None:
            case Mistake::AcceptsAnything:
                return y;
            case Mistake::Output:
                return autograd::scale(x, 2.03);
            case Mistake::Gradient:
                return with_gradient(x, y.value(), 1.0);
            case Mistake::SinglePrecision:
                return with_gradient(x, y.value().to(DType::F32).to(value.dtype()), 2.0);
            case Mistake::OutOfBounds:
                static_cast<char*>(y.value().raw())[y.value().bytes()] = 1;
                return y;
            case Mistake::Unwritten:
                return with_gradient(x, Tensor::empty(x.device(), value.shape(), value.dtype()),
                                     2.0);
            case Mistake::Threads:
                return autograd::scale(x, cpu(value).threads() == 3 ? 2.01 : 2.0);
            case Mistake::Strides: {
                const Tensor dense = Tensor::from_external(x.device(), value.raw(), value.shape(),
                                                           value.dtype(), [] {});
                return with_gradient(x, autograd::scale(autograd::Variable(dense), 2.0).value(),
                                     2.0);
            }
            case Mistake::ChangesOperand:
                value.fill(0.0);
                return y;
            case Mistake::Throws:
                throw Error("no such thing");
        }
        return x;
    }

  private:
    Mistake mistake_;
};

void expect_report(Mistake mistake, const std::string& text) {
    const std::string report = check_op(Wrong(mistake));
    EXPECT_NE(report.find(text), std::string::npos) << "report: " << report;
}

}  // namespace

TEST(Driver, AcceptsACorrectOperator) {
    EXPECT_EQ(check_op(Wrong(Mistake::None)), "");
}

TEST(Driver, ReportsAWrongOutput) {
    expect_report(Mistake::Output, "scale at sizes 2 7, f64, ");
    expect_report(Mistake::Output, "output at element 0 of shape (2, 7)");
    expect_report(Mistake::Output, "[VILA_TEST_SEED=");
}

TEST(Driver, ReportsAWrongGradient) {
    expect_report(Mistake::Gradient, "gradient of x at element 0: finite differences give");
}

TEST(Driver, ReportsLostPrecision) {
    expect_report(Mistake::SinglePrecision, "f64, ");
}

TEST(Driver, ReportsAWriteOutOfBounds) {
    expect_report(Mistake::OutOfBounds, "guard bytes were overwritten");
}

TEST(Driver, ReportsUnwrittenOutput) {
    expect_report(Mistake::Unwritten, "nan, off by nan");
}

TEST(Driver, ReportsResultsThatDependOnThreads) {
    expect_report(Mistake::Threads, "3 threads");
    expect_report(Mistake::Threads, "output has other bits than with 1 thread");
}

TEST(Driver, ReportsIgnoredStrides) {
    expect_report(Mistake::Strides, "with strided operands, output has other bits");
}

TEST(Driver, ReportsAChangedOperand) {
    expect_report(Mistake::ChangesOperand, "operand x was changed");
}

TEST(Driver, ReportsAnAcceptedDtype) {
    expect_report(Mistake::AcceptsAnything,
                  "x with a wrong dtype: expected an error with \"[scale]\", got none");
}

TEST(Driver, ReportsAnUnexpectedError) {
    expect_report(Mistake::Throws, "it throws no such thing");
}

TEST(Driver, ExpectErrorReportsAnotherText) {
    EXPECT_EQ(expect_error("blue", [] { throw Error("red"); }),
              "expected an error with \"blue\", got \"red\"");
    EXPECT_EQ(expect_error("red", [] { throw Error("dark red"); }), "");
}

}  // namespace vila::testing
