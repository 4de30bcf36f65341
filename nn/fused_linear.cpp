#include "nn/fused_linear.h"

namespace vila::nn {

using autograd::Variable;

namespace {

std::vector<Tensor> values_of(std::span<Parameter* const> parameters, const char* purpose) {
    std::vector<Tensor> values;
    for (const Parameter* parameter : parameters) values.push_back(parameter->float_value(purpose));
    return values;
}

void lay_together(std::span<Parameter* const> parameters) {
    const std::vector<Tensor> parts = values_of(parameters, "a fused product");
    if (Tensor::joined(parts).defined()) return;
    Shape shape = parts[0].shape();
    for (size_t i = 1; i < parts.size(); ++i) shape[0] += parts[i].size(0);
    const Tensor whole = Tensor::empty(parts[0].device(), shape, parts[0].dtype());
    int64_t begin = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
        const Tensor view = whole.slice(0, begin, begin + parts[i].size(0));
        view.copy_from(parts[i]);
        const bool trainable = parameters[i]->trainable();
        parameters[i]->variable = Variable(view, trainable);
        begin += view.size(0);
    }
}

// The joined weight and bias of the layers; the weight is undefined if one product will not do.
struct Joined {
    Tensor weight, bias;
};

Joined join(std::span<const Linear* const> layers) {
    std::vector<Tensor> weights, biases;
    for (const Linear* layer : layers) {
        if (layer->weight().adapter || layer->weight().quantized.defined()) return {};
        weights.push_back(layer->weight().variable.value());
        if (layer->bias() != nullptr) biases.push_back(layer->bias()->variable.value());
    }
    Joined joined = {.weight = Tensor::joined(weights), .bias = Tensor::joined(biases)};
    if (!biases.empty() && (biases.size() < weights.size() || !joined.bias.defined())) return {};
    return joined;
}

}  // namespace

void lay_together(std::span<const Linear* const> layers) {
    std::vector<Parameter*> weights, biases;
    for (const Linear* layer : layers) {
        const std::vector<Parameter*> parameters = layer->parameters();
        weights.push_back(parameters[0]);
        if (parameters.size() > 1) biases.push_back(parameters[1]);
    }
    if (!weights.empty()) lay_together(weights);
    if (!biases.empty()) lay_together(biases);
}

std::vector<Variable> apply_together(std::span<const Linear* const> layers, const Variable& x) {
    std::vector<Variable> results;
    const Joined joined = x.device().grad_enabled ? Joined{} : join(layers);
    if (!joined.weight.defined()) {
        for (const Linear* layer : layers) results.push_back((*layer)(x));
        return results;
    }
    const Tensor y =  // (R, sum of outputs)
        autograd::linear(x, Variable(joined.weight),
                         joined.bias.defined() ? Variable(joined.bias) : Variable())
            .value();
    int64_t begin = 0;
    for (const Linear* layer : layers) {
        const int64_t end = begin + layer->weight().shape[0];
        results.emplace_back(y.slice(1, begin, end).contiguous());
        begin = end;
    }
    return results;
}

}  // namespace vila::nn
