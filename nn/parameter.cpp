#include "nn/parameter.h"

#include <algorithm>

#include "tensor/nearest_name.h"
#include "tensor/random.h"

namespace vila::nn {

namespace {

std::vector<float> initial_values(const Parameter& parameter, uint64_t seed) {
    const uint64_t key =
        random_key(seed, parameter.share.empty() ? parameter.name : parameter.share);
    std::vector<float> values(static_cast<size_t>(parameter.shape.numel()));
    const double scale = parameter.init.scale;
    for (size_t i = 0; i < values.size(); ++i) {
        switch (parameter.init.kind) {
            case InitKind::Zeros:
                values[i] = 0.0f;
                break;
            case InitKind::Ones:
                values[i] = 1.0f;
                break;
            case InitKind::Constant:
                values[i] = static_cast<float>(scale);
                break;
            case InitKind::Normal:
                values[i] = static_cast<float>(scale * random_normal(key, i));
                break;
            case InitKind::Uniform:
                values[i] = static_cast<float>(scale * (2.0 * random_uniform(key, i) - 1.0));
                break;
        }
    }
    return values;
}

}  // namespace

const Tensor& Parameter::float_value(const char* purpose) const {
    VILA_CHECK(!quantized.defined(), "weight ", name, " is quantized (",
               block_format_name(quantized.format), "): ", purpose,
               " needs a floating-point weight");
    return variable.value();
}

std::vector<Tensor> Parameter::tensors() const {
    if (quantized.defined()) return quantized.tensors();
    if (variable.defined()) return {variable.value()};
    return {};
}

void Parameter::set_trainable(bool trainable) {
    if (!trainable && quantized.defined()) return;
    variable = autograd::Variable(float_value("training"), trainable);
}

Parameter& ParameterTable::declare(Parameter parameter) {
    VILA_CHECK(!by_name_.contains(parameter.name), "parameter ", parameter.name,
               " is declared twice");
    parameters_.push_back(std::move(parameter));
    Parameter& stored = parameters_.back();
    by_name_[stored.name] = &stored;
    return stored;
}

Parameter* ParameterTable::find(const std::string& name) {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
}

const Parameter* ParameterTable::find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
}

Parameter& ParameterTable::at(const std::string& name) {
    Parameter* parameter = find(name);
    if (parameter != nullptr) return *parameter;
    std::vector<std::string> names;
    for (const Parameter& known : parameters_) names.push_back(known.name);
    throw Error(str("no parameter ", name, "; the nearest name is ", nearest_name(name, names)));
}

int64_t ParameterTable::count() const {
    int64_t total = 0;
    for (const Parameter& parameter : parameters_) total += parameter.shape.numel();
    return total;
}

void ParameterTable::initialize(Device& device, DType dtype, uint64_t seed, bool trainable) {
    for (Parameter& parameter : parameters_) {
        const Tensor value =
            Tensor::from_values(device, parameter.shape, initial_values(parameter, seed));
        parameter.variable = autograd::Variable(value.to(dtype), trainable);
    }
}

void ParameterTable::assign(const std::string& name, const Tensor& value, DType dtype,
                            bool trainable) {
    Parameter& parameter = at(name);
    VILA_CHECK_EQ(value.shape(), parameter.shape, "shape of tensor ", name, " ", parameter.axes);
    parameter.variable = autograd::Variable(value.to(dtype), trainable);
    parameter.quantized = {};
}

void ParameterTable::assign(const std::string& name, const QuantizedMatrix& value) {
    Parameter& parameter = at(name);
    VILA_CHECK(parameter.is_linear, "tensor ", name,
               " is quantized, but is not the weight of a linear layer");
    VILA_CHECK_EQ(value.shape, parameter.shape, "shape of tensor ", name, " ", parameter.axes);
    check_quantized("tensor " + name, value);
    parameter.quantized = value;
    parameter.variable = autograd::Variable();
}

void ParameterTable::set_trainable(bool trainable) {
    for (Parameter& parameter : parameters_) parameter.set_trainable(trainable);
}

void ParameterTable::set_trainable(const std::function<bool(const Parameter&)>& rule) {
    for (Parameter& parameter : parameters_) parameter.set_trainable(rule(parameter));
}

bool ParameterTable::any_trainable() const {
    return std::ranges::any_of(parameters_, &Parameter::trainable);
}

}  // namespace vila::nn
