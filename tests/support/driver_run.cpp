// Runs an operator for the driver: draws values, makes tensors, collects results.

#include "tensor/env.h"
#include "tensor/random.h"
#include "tests/support/driver.h"

namespace vila::testing {

Array Array::of(const Shape& shape) {
    return {shape, std::vector<double>(static_cast<size_t>(shape.numel()), 0.0)};
}

Operand normal(const std::string& name, const Shape& shape, double scale) {
    return {name, OperandKind::Float, {shape, draw_normal(name, shape.numel(), scale)}};
}

Operand index(const std::string& name, const std::vector<double>& values) {
    return {name, OperandKind::Index, {{static_cast<int64_t>(values.size())}, values}};
}

std::vector<Sizes> row_sizes() {
    return {{0, 5}, {1, 1}, {3, 7}, {5, 16}, {4, 17}, {2, 64}, {7, 65}, {151, 33}};
}

std::vector<Sizes> flat_sizes() {
    return {{0}, {1}, {7}, {16}, {17}, {64}, {65}, {1009}};
}

uint64_t test_seed() {
    return static_cast<uint64_t>(environment_int("VILA_TEST_SEED"));
}

std::vector<double> draw_normal(const std::string& name, int64_t count, double scale) {
    const uint64_t key = random_key(test_seed(), name);
    std::vector<double> values;
    for (int64_t i = 0; i < count; ++i)
        values.push_back(scale * random_normal(key, static_cast<uint64_t>(i)));
    return values;
}

std::vector<double> rounded(std::vector<double> values, DType dtype) {
    for (double& value : values) {
        if (dtype == DType::F32) value = static_cast<float>(value);
        if (dtype == DType::BF16) value = static_cast<float>(BFloat16(static_cast<float>(value)));
    }
    return values;
}

autograd::Variable make_operand(const Operand& operand, const Array& array, Device& device,
                                DType dtype) {
    if (operand.kind == OperandKind::Index) dtype = DType::I32;
    if (operand.kind == OperandKind::Wide && dtype != DType::F64) dtype = DType::F32;
    return autograd::Variable(make_tensor(device, array, dtype),
                              operand.kind == OperandKind::Float);
}

Tensor make_tensor(Device& device, const Array& array, DType dtype) {
    return Tensor::from_values<double>(device, array.shape, array.values).to(dtype);
}

Array to_array(const Tensor& tensor) {
    return {tensor.shape(), tensor.to_vector<double>()};
}

OpResult run_op(const OpTest& op, const Sizes& n, const Arrays& in, Device& device, DType dtype,
                const std::vector<double>& dy) {
    Variables variables;
    for (const Operand& operand : op.operands(n))
        variables[operand.name] = make_operand(operand, in.at(operand.name), device, dtype);
    return run_op(op, n, variables, dy);
}

OpResult run_op(const OpTest& op, const Sizes& n, const Variables& in,
                const std::vector<double>& dy) {
    const autograd::Variable y = op.apply(n, in);
    OpResult result;
    result.output = to_array(y.value());
    if (!y.requires_grad()) return result;
    autograd::backward(y, make_tensor(y.device(), {y.shape(), dy}, y.dtype()));
    for (const auto& [name, variable] : in) {
        if (!variable.requires_grad()) continue;
        // Without rows, an operand may receive no gradient.
        result.gradients[name] =
            variable.grad().defined() ? to_array(variable.grad()) : Array::of(variable.shape());
    }
    return result;
}

}  // namespace vila::testing
