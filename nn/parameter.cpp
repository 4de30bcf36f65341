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
}

void ParameterTable::set_trainable(bool trainable) {
    for (Parameter& parameter : parameters_)
        parameter.variable = autograd::Variable(parameter.variable.value(), trainable);
}

}  // namespace vila::nn
