#include "models/block_linear.h"

#include <algorithm>

#include "autograd/ops.h"

namespace vila::models {

using autograd::Variable;

namespace {

std::vector<const nn::Linear*> first_layers(std::span<const BlockLinear* const> matrices) {
    std::vector<const nn::Linear*> layers;
    for (const BlockLinear* matrix : matrices) layers.push_back(&matrix->linear());
    return layers;
}

}  // namespace

bool BlockLinear::splits(const Tensor& image_rows) const {
    return image_linear_ && image_rows.defined() && image_rows.size(0) > 0;
}

Variable BlockLinear::operator()(const Variable& x, const Tensor& image_rows,
                                 const autograd::LinearEpilogue& then) const {
    const Variable y = linear_(x, then);  // (R, outputs)
    if (!splits(image_rows)) return y;
    autograd::LinearEpilogue then_for_images = then;
    if (then.residual.defined())
        then_for_images.residual =
            autograd::gather_rows(then.residual, image_rows);  // (M, outputs)
    const Variable images =
        (*image_linear_)(autograd::gather_rows(x, image_rows), then_for_images);  // (M, outputs)
    return autograd::splice_rows(y, images, image_rows);
}

std::vector<Variable> apply_together(std::span<const BlockLinear* const> matrices,
                                     const Variable& x, const Tensor& image_rows) {
    const auto splits = [&](const BlockLinear* matrix) { return matrix->splits(image_rows); };
    if (!std::ranges::any_of(matrices, splits))
        return nn::apply_together(first_layers(matrices), x);
    std::vector<Variable> results;
    for (const BlockLinear* matrix : matrices) results.push_back((*matrix)(x, image_rows));
    return results;
}

void lay_together(std::span<const BlockLinear* const> matrices) {
    nn::lay_together(first_layers(matrices));
}

}  // namespace vila::models
