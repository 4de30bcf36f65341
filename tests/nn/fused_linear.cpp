// Layers that read the same input as one product: the bits of each layer alone.

#include "nn/fused_linear.h"

#include <gtest/gtest.h>

#include "tensor/cpu/cpu_device.h"
#include "tensor/random.h"

namespace vila::nn {
namespace {

using autograd::Variable;

class FusedLinearTest : public ::testing::TestWithParam<DType> {
  protected:
    static constexpr int64_t kInputs = 48;

    FusedLinearTest() : device(make_cpu_device(2)) {
        for (const auto& [name, outputs] : {std::pair{"q", 40}, {"k", 8}, {"v", 13}})
            layers.emplace_back(table, name, kInputs, outputs,
                                LinearInit{.weight = {InitKind::Normal, 1.0},
                                           .has_bias = true,
                                           .bias = {InitKind::Normal, 1.0}});
        table.initialize(*device, GetParam(), 1, false);
        for (const Linear& layer : layers) pointers.push_back(&layer);
    }

    Variable x(int64_t rows) {
        std::vector<double> values;
        for (int64_t i = 0; i < rows * kInputs; ++i)
            values.push_back(random_normal(3, static_cast<uint64_t>(i)));
        return Variable(Tensor::from_values(*device, {rows, kInputs}, values).to(GetParam()));
    }
    static std::vector<std::vector<double>> values(const std::vector<Variable>& results) {
        std::vector<std::vector<double>> all;
        for (const Variable& one : results) {
            EXPECT_TRUE(one.value().is_contiguous());
            all.push_back(one.value().to_vector<double>());
        }
        return all;
    }
    // Whether apply_together() makes one product: its results share memory.
    bool is_one_product() {
        const autograd::NoGrad no_grad(*device);
        return apply_together(pointers, x(1))[0].value().use_count() > 1;
    }

    std::unique_ptr<CpuDevice> device;
    ParameterTable table;
    std::vector<Linear> layers;
    std::vector<const Linear*> pointers;
};

TEST_P(FusedLinearTest, OneProductHasTheBitsOfEachLayer) {
    std::vector<std::vector<double>> before;
    for (const Parameter& parameter : table)
        before.push_back(parameter.variable.value().to_vector<double>());
    EXPECT_FALSE(is_one_product());
    std::vector<std::vector<std::vector<double>>> apart;
    const std::vector<int64_t> counts = {1, 2, 3, 5, 16, 70};
    const autograd::NoGrad no_grad(*device);
    for (const int64_t rows : counts) apart.push_back(values(apply_together(pointers, x(rows))));
    lay_together(pointers);
    EXPECT_TRUE(is_one_product());
    for (size_t i = 0; i < counts.size(); ++i)
        EXPECT_EQ(values(apply_together(pointers, x(counts[i]))), apart[i]) << counts[i] << " rows";
    // The parameters are what they were.
    size_t next = 0;
    for (const Parameter& parameter : table) {
        EXPECT_EQ(parameter.variable.shape(), parameter.shape);
        EXPECT_EQ(parameter.variable.value().to_vector<double>(), before[next++]) << parameter.name;
    }
    const void* address = table.at("q.weight").variable.value().raw();
    lay_together(pointers);
    EXPECT_EQ(table.at("q.weight").variable.value().raw(), address);
}

TEST_P(FusedLinearTest, OtherwiseEachLayerHasItsProduct) {
    lay_together(pointers);
    EXPECT_TRUE(is_one_product());
    // A weight elsewhere in memory.
    table.assign("k.weight", table.at("k.weight").variable.value().clone(), GetParam(), false);
    EXPECT_FALSE(is_one_product());
    lay_together(pointers);
    EXPECT_TRUE(is_one_product());
    // An adapter.
    ParameterTable adapters;
    add_adapter(adapters, table.at("v.weight"), 2, 1.0);
    adapters.initialize(*device, GetParam(), 2, false);
    EXPECT_FALSE(is_one_product());
    table.at("v.weight").adapter.reset();
    EXPECT_TRUE(is_one_product());
    // A recorded graph: gradients reach every layer, and an update in place reaches the whole.
    table.set_trainable(true);
    for (const Variable& y : apply_together(pointers, x(3))) autograd::backward(autograd::sum(y));
    for (const Parameter& parameter : table)
        EXPECT_TRUE(parameter.variable.grad().defined()) << parameter.name;
    table.at("k.bias").variable.value().fill(1e6);
    const autograd::NoGrad no_grad(*device);
    EXPECT_GT(apply_together(pointers, x(1))[1].value().to_vector<double>()[0], 1e5);
    EXPECT_TRUE(is_one_product());
}

INSTANTIATE_TEST_SUITE_P(DTypes, FusedLinearTest,
                         ::testing::Values(DType::F32, DType::BF16, DType::F64));

}  // namespace
}  // namespace vila::nn
