#include "nn/embedding.h"

#include "autograd/ops.h"

namespace vila::nn {

Embedding::Embedding(ParameterTable& table, const std::string& name, int64_t rows, int64_t width,
                     const Init& init)
    : weight_(&table.declare({.name = name + ".weight",
                              .shape = {rows, width},
                              .axes = "(rows, C)",
                              .init = init,
                              .decay = true})) {}

autograd::Variable Embedding::operator()(const Tensor& ids) const {
    return autograd::embedding(weight_->variable, ids);
}

}  // namespace vila::nn
