// Linear with a block-quantized weight and with a low-rank adapter: results against loops in f64,
// gradients against finite differences. tests/autograd/op_linear.cpp and op_quantized_linear.cpp
// test the products themselves.

#include "nn/linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/name_pattern.h"
#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"

namespace vila::nn {
namespace {

using autograd::Variable;

constexpr int64_t kRows = 3, kInputs = 64, kOutputs = 5, kBlock = 32, kRank = 4;
constexpr double kScale = 0.75;

std::vector<double> drawn(uint64_t key, int64_t count) {
    std::vector<double> values;
    for (int64_t i = 0; i < count; ++i)
        values.push_back(random_normal(key, static_cast<uint64_t>(i)));
    return values;
}

// A made-up format: blocks of 32 signed bytes with one scale each.
struct MadeUpMatrix {
    std::vector<uint8_t> bytes;
    std::vector<float> scales;
    std::vector<double> weight;  // (outputs, inputs), what they stand for

    MadeUpMatrix() {
        for (int64_t block = 0; block < kOutputs * kInputs / kBlock; ++block) {
            scales.push_back(0.01f * static_cast<float>(1 + block));
            for (int64_t i = 0; i < kBlock; ++i) {
                const auto value = static_cast<int8_t>((block * 37 + i * 11) % 255 - 127);
                bytes.push_back(static_cast<uint8_t>(value));
                weight.push_back(static_cast<double>(scales.back()) * value);
            }
        }
    }
    QuantizedMatrix on(Device& device) const {
        return {.shape = {kOutputs, kInputs},
                .block = kBlock,
                .values = Tensor::from_values(device, {kOutputs, kInputs}, bytes),
                .scales = Tensor::from_values(device, {kOutputs, kInputs / kBlock}, scales)};
    }
};

// A layer, its operands in f64, and the result by loops.
class LinearTest : public ::testing::Test {
  protected:
    LinearTest() : device(make_cpu_device(2)), linear(table, "proj", kInputs, kOutputs, kInit) {
        assign("proj.weight", DType::F64);
        assign("proj.bias", DType::F64);
        x = Variable(tensor(2, {kRows, kInputs}), true);
        residual = Variable(tensor(3, {kRows, kOutputs}), true);
    }

    Tensor tensor(uint64_t key, const Shape& shape) {
        return Tensor::from_values(*device, shape, drawn(key, shape.numel()));
    }
    void assign(const std::string& name, DType dtype) {
        Parameter& parameter = table.at(name);
        table.assign(name, tensor(random_key(1, name), parameter.shape), dtype, true);
    }
    void adapt() {
        add_adapter(table, table.at("proj.weight"), kRank, kScale);
        assign("proj.lora_A.weight", DType::F64);
        assign("proj.lora_B.weight", DType::F64);
    }

    // (W + scale * B A), row-major.
    std::vector<double> full_weight() {
        std::vector<double> w = table.at("proj.weight").quantized.defined()
                                    ? made_up.weight
                                    : value("proj.weight").to_vector<double>();
        if (!table.at("proj.weight").adapter) return w;
        const std::vector<double> a = value("proj.lora_A.weight").to_vector<double>();
        const std::vector<double> b = value("proj.lora_B.weight").to_vector<double>();
        for (int64_t d = 0; d < kOutputs; ++d)
            for (int64_t c = 0; c < kInputs; ++c)
                for (int64_t r = 0; r < kRank; ++r)
                    w[static_cast<size_t>(d * kInputs + c)] +=
                        kScale * b[static_cast<size_t>(d * kRank + r)] *
                        a[static_cast<size_t>(r * kInputs + c)];
        return w;
    }
    const Tensor& value(const std::string& name) { return table.at(name).variable.value(); }

    // gelu(x w^T + bias + residual), one after the other.
    std::vector<double> expected(bool gelu) {
        const std::vector<double> w = full_weight(), in = x.value().to_vector<double>();
        std::vector<double> y = residual.value().to_vector<double>();
        const std::vector<double> bias = value("proj.bias").to_vector<double>();
        for (int64_t r = 0; r < kRows; ++r)
            for (int64_t d = 0; d < kOutputs; ++d) {
                double& sum = y[static_cast<size_t>(r * kOutputs + d)];
                sum += bias[static_cast<size_t>(d)];
                for (int64_t c = 0; c < kInputs; ++c)
                    sum += in[static_cast<size_t>(r * kInputs + c)] *
                           w[static_cast<size_t>(d * kInputs + c)];
                if (gelu) sum = 0.5 * sum * (1.0 + std::erf(sum / std::sqrt(2.0)));
            }
        return y;
    }

    Variable run(bool gelu) {
        autograd::LinearEpilogue then = {.residual = residual};
        if (gelu) then.gelu = GeluKind::Erf;
        return linear(x, then);
    }

    void check_values() {
        for (const bool gelu : {false, true}) {
            const std::vector<double> got = run(gelu).value().to_vector<double>();
            const std::vector<double> right = expected(gelu);
            for (size_t i = 0; i < right.size(); ++i)
                EXPECT_NEAR(got[i], right[i], 1e-10) << i << ", gelu " << gelu;
        }
    }

    // Compares the gradients of sum(weights * y) with central differences, element by element.
    void check_gradients(const std::vector<std::string>& parameters) {
        const Variable weights(tensor(9, {kRows, kOutputs}));
        const auto objective = [&] { return autograd::sum(autograd::mul(run(true), weights)); };
        std::vector<std::pair<std::string, Variable*>> leaves = {{"x", &x},
                                                                 {"residual", &residual}};
        for (const std::string& name : parameters)
            leaves.emplace_back(name, &table.at(name).variable);
        for (auto& [name, leaf] : leaves) leaf->clear_grad();
        autograd::backward(objective());
        for (const auto& [name, leaf] : leaves)
            check_gradient(name, leaf->value(), leaf->grad(), objective);
    }
    void check_gradient(const std::string& name, const Tensor& value, const Tensor& grad,
                        const std::function<Variable()>& objective) {
        const std::vector<double> gradient = grad.to_vector<double>();
        const std::vector<double> base = value.to_vector<double>();
        const autograd::NoGrad no_grad(*device);
        const auto at = [&](size_t i, double change) {
            std::vector<double> moved = base;
            moved[i] += change;
            value.copy_from_host(moved.data());
            return objective().value().item();
        };
        constexpr double h = 1e-5;
        for (size_t i = 0; i < base.size(); i += 1 + base.size() / 40)
            EXPECT_NEAR((at(i, h) - at(i, -h)) / (2 * h), gradient[i], 1e-6)
                << name << " element " << i;
        value.copy_from_host(base.data());
    }

    std::string error_of(const std::function<void()>& body) {
        try {
            body();
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    static inline const LinearInit kInit = {.weight = {InitKind::Normal, 1.0}, .has_bias = true};
    std::unique_ptr<CpuDevice> device;
    ParameterTable table;
    Linear linear;
    MadeUpMatrix made_up;
    Variable x, residual;
};

TEST_F(LinearTest, AQuantizedWeightActsAsTheNumbersItStandsFor) {
    table.assign("proj.weight", made_up.on(*device));
    EXPECT_FALSE(table.at("proj.weight").trainable());
    EXPECT_FALSE(table.at("proj.weight").variable.defined());
    check_values();
    check_gradients({"proj.bias"});
    EXPECT_EQ(table.at("proj.weight").quantized.bytes(), kOutputs * (kInputs + 2 * 4));
    // A floating-point value takes its place again.
    assign("proj.weight", DType::F64);
    check_values();
    check_gradients({"proj.weight", "proj.bias"});
}

TEST_F(LinearTest, AnAdapterAddsItsProduct) {
    adapt();
    check_values();
    check_gradients({"proj.weight", "proj.bias", "proj.lora_A.weight", "proj.lora_B.weight"});
}

TEST_F(LinearTest, AnAdapterLearnsOverAQuantizedWeight) {
    table.assign("proj.weight", made_up.on(*device));
    adapt();
    check_values();
    check_gradients({"proj.bias", "proj.lora_A.weight", "proj.lora_B.weight"});
}

TEST_F(LinearTest, ANewAdapterChangesNothing) {
    const std::vector<double> before = run(true).value().to_vector<double>();
    add_adapter(table, table.at("proj.weight"), kRank, kScale);
    for (const char* name : {"proj.lora_A.weight", "proj.lora_B.weight"}) {
        ParameterTable fresh;
        const Parameter& parameter = table.at(name);
        fresh.declare({.name = name, .shape = parameter.shape, .init = parameter.init});
        fresh.initialize(*device, DType::F64, 1, false);
        table.assign(name, fresh.at(name).variable.value(), DType::F64, true);
    }
    EXPECT_EQ(run(true).value().to_vector<double>(), before);
    EXPECT_NE(value("proj.lora_A.weight").to_vector<double>()[0], 0.0);
}

TEST_F(LinearTest, ErrorsNameTheWeight) {
    EXPECT_EQ(error_of([&] { table.assign("proj.bias", made_up.on(*device)); }),
              "tensor proj.bias is quantized, but is not the weight of a linear layer");
    QuantizedMatrix wide = made_up.on(*device);
    wide.shape = {kOutputs, 2 * kInputs};
    EXPECT_EQ(error_of([&] { table.assign("proj.weight", wide); }),
              "shape of tensor proj.weight (outputs, inputs): expected (5, 64), got (5, 128)");
    QuantizedMatrix odd = made_up.on(*device);
    odd.block = 48;
    EXPECT_EQ(error_of([&] { table.assign("proj.weight", odd); }),
              "tensor proj.weight: blocks of 48 columns: expected a divisor of the 64 columns");
    table.assign("proj.weight", made_up.on(*device));
    EXPECT_EQ(error_of([&] { table.set_trainable(true); }),
              "weight proj.weight is quantized (int8): training needs a floating-point weight");
    table.set_trainable(false);
    EXPECT_FALSE(table.any_trainable());
    EXPECT_EQ(error_of([&] { add_adapter(table, table.at("proj.bias"), 1, 1.0); }),
              "adapter of proj.bias: not the weight of a linear layer");
    adapt();
    EXPECT_EQ(error_of([&] { add_adapter(table, table.at("proj.weight"), 1, 1.0); }),
              "adapter of proj.weight: the weight already has one");
}

TEST(NamePatternTest, AStarStandsForAnyRun) {
    EXPECT_TRUE(matches("a.b", "a.b"));
    EXPECT_FALSE(matches("a.b", "a.bc"));
    EXPECT_FALSE(matches("a.b", "xa.b"));
    EXPECT_TRUE(matches("*", ""));
    EXPECT_TRUE(matches("*.q_proj.*", "model.layers.3.q_proj.weight"));
    EXPECT_FALSE(matches("*.q_proj", "model.layers.3.q_proj.weight"));
    EXPECT_TRUE(matches("*ab*ab", "abxabab"));
    EXPECT_FALSE(matches("*ab*ab", "xab"));
    EXPECT_TRUE(matches("a**", "a"));
    EXPECT_FALSE(matches("", "a"));
}

}  // namespace
}  // namespace vila::nn
