// quantized_linear on a matrix of int8 blocks, compared with loops, with and without zero points
// and epilogues. The weight is a constant of the test: only x, bias and residual are operands.

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops.h"
#include "tests/support/driver.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

namespace {

using autograd::Variable;

// The numbers of a quantized matrix (D, C): drawn from its name, so that apply() and reference()
// agree on them.
struct Numbers {
    int64_t outputs, inputs, block;
    std::vector<double> values, scales, zeros;

    Numbers(const Sizes& n, bool with_zeros) : outputs(n[3]), inputs(n[1] * n[2]), block(n[2]) {
        for (const double value : draw_normal("values", outputs * inputs, 50.0))
            values.push_back(std::clamp(std::round(value), -128.0, 127.0));
        const int64_t blocks = outputs * n[1];
        for (const double scale : rounded(draw_normal("scales", blocks, 0.02), DType::F32))
            scales.push_back(scale);
        for (const double zero : draw_normal("zeros", blocks, 4.0))
            zeros.push_back(with_zeros ? std::round(zero) : 0.0);
    }

    double weight(int64_t d, int64_t c) const {
        const auto at = static_cast<size_t>((d * inputs + c) / block);
        return scales[at] * (values[static_cast<size_t>(d * inputs + c)] - zeros[at]);
    }

    QuantizedMatrix on(Device& device, bool with_zeros) const {
        std::vector<uint8_t> bytes;
        for (const double value : values)
            bytes.push_back(static_cast<uint8_t>(static_cast<int8_t>(value)));
        const Shape blocks = {outputs, inputs / block};
        QuantizedMatrix matrix = {
            .shape = {outputs, inputs},
            .block = block,
            .values = Tensor::from_values(device, {outputs, inputs}, bytes),
            .scales = Tensor::from_values(device, blocks, scales).to(DType::F32)};
        if (with_zeros) matrix.zeros = Tensor::from_values(device, blocks, zeros).to(DType::F32);
        return matrix;
    }
};

class QuantizedLinear : public OpTest {
  public:
    QuantizedLinear(bool zeros, bool bias, bool residual = false, bool gelu = false)
        : zeros_(zeros), bias_(bias), residual_(residual), gelu_(gelu) {}
    std::string name() const override { return "quantized_linear"; }
    std::vector<Sizes> sizes() const override {  // R, blocks in a row, columns of a block, D
        return {{0, 1, 32, 3}, {1, 1, 1, 1},  {3, 2, 32, 5}, {5, 3, 7, 33},
                {1, 4, 32, 9}, {17, 1, 5, 1}, {2, 1, 32, 1}};
    }
    std::vector<Operand> operands(const Sizes& n) const override {
        std::vector<Operand> all = {normal("x", {n[0], n[1] * n[2]})};
        if (bias_) all.push_back(normal("bias", {n[3]}));
        if (residual_) all.push_back(normal("residual", {n[0], n[3]}));
        return all;
    }
    Array reference(const Sizes& n, const Arrays& in) const override {
        const Numbers weight(n, zeros_);
        Array y = Array::of({n[0], n[3]});
        for (int64_t r = 0; r < n[0]; ++r)
            for (int64_t d = 0; d < n[3]; ++d) {
                double sum = bias_ ? in.at("bias")[d] : 0.0;
                for (int64_t c = 0; c < weight.inputs; ++c)
                    sum += in.at("x")[r * weight.inputs + c] * weight.weight(d, c);
                if (residual_) sum += in.at("residual")[r * n[3] + d];
                y[r * n[3] + d] = gelu_ ? 0.5 * sum * (1.0 + std::erf(sum / std::sqrt(2.0))) : sum;
            }
        return y;
    }
    Variable apply(const Sizes& n, const Variables& in) const override {
        const Variable& x = in.at("x");
        autograd::LinearEpilogue then;
        if (residual_) then.residual = in.at("residual");
        if (gelu_) then.gelu = GeluKind::Erf;
        return autograd::quantized_linear(x, Numbers(n, zeros_).on(x.device(), zeros_),
                                          bias_ ? in.at("bias") : Variable(), then);
    }
    // In bf16, GELU is applied to a rounded sum.
    Tolerance value_tolerance(DType dtype) const override {
        if (dtype != DType::BF16 || !gelu_) return tolerance(dtype);
        return {0x1p-7, 0x1p-8};
    }

  private:
    bool zeros_, bias_, residual_, gelu_;
};

}  // namespace

TEST(OpQuantizedLinear, Agrees) {
    EXPECT_EQ(check_op(QuantizedLinear(false, false)), "");
    EXPECT_EQ(check_op(QuantizedLinear(true, true)), "");
    EXPECT_EQ(check_op(QuantizedLinear(true, false, true)), "");
    EXPECT_EQ(check_op(QuantizedLinear(false, true, true, true)), "");
}

TEST(OpQuantizedLinear, NamesTheWrongOperand) {
    GuardedDevice device;
    const Variable x(Tensor::zeros(device, {2, 64}, DType::F32));
    const QuantizedMatrix right = Numbers({0, 2, 32, 3}, false).on(device, false);
    const auto message = [&](const std::string& expected, QuantizedMatrix weight,
                             const Variable& bias = {}) {
        return expect_error(expected, [&] { autograd::quantized_linear(x, weight, bias); });
    };
    EXPECT_EQ(message("[quantized_linear] x has shape (2, 64): expected (2, 32)",
                      Numbers({0, 1, 32, 3}, false).on(device, false)),
              "");
    QuantizedMatrix wrong = right;
    wrong.block = 33;
    EXPECT_EQ(message("[quantized_linear] weight: blocks of 33 columns: expected a divisor of the "
                      "64 columns",
                      wrong),
              "");
    wrong = right;
    wrong.scales = wrong.scales.slice(1, 0, 1).contiguous();
    EXPECT_EQ(message("[quantized_linear] weight: shape of the scales: expected (3, 2), got (3, 1)",
                      wrong),
              "");
    wrong = right;
    wrong.zeros = right.scales.to(DType::F64);
    EXPECT_EQ(
        message("[quantized_linear] weight: dtype of the zeros: expected f32, got f64", wrong), "");
    wrong = right;
    wrong.scales = Tensor();
    EXPECT_EQ(
        message("[quantized_linear] weight: a quantized matrix needs values and scales", wrong),
        "");
    EXPECT_EQ(message("[quantized_linear] bias has shape (4): expected (3)", right,
                      Variable(Tensor::zeros(device, {4}, DType::F32))),
              "");
}

TEST(OpQuantizedLinear, ADeviceWithoutTheKernelSaysSo) {
    Kernels table = make_cpu_device(1)->kernels();
    table.quantized_matmul_forward = nullptr;
    CpuDevice device(table, 1, Isa::Baseline);
    const Variable x(Tensor::zeros(device, {2, 64}, DType::F32));
    const QuantizedMatrix weight = Numbers({0, 2, 32, 3}, false).on(device, false);
    EXPECT_EQ(expect_error("[quantized_matmul] is not supported on cpu, 1 thread, baseline",
                           [&] { autograd::quantized_linear(x, weight, Variable()); }),
              "");
}

}  // namespace vila::testing
