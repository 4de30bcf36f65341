// The loss of the language model: vocabulary projection and cross-entropy, fused.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

namespace {

// Adds factor * gradient to the gradient of the edge.
void add_scaled(const Edge& edge, const Tensor& gradient, double factor) {
    const auto [sum, accumulate] = edge.target(gradient.device());
    call(gradient.device(), "scale", &Kernels::scale,
         {.x = gradient, .y = sum, .alpha = factor, .accumulate = accumulate});
}

}  // namespace

Variable linear_cross_entropy(const Variable& hidden, const Variable& weight, const Tensor& targets,
                              double loss_scale, Tensor* row_losses) {
    check_float("linear_cross_entropy", "hidden", hidden.value(), 2);
    check_float("linear_cross_entropy", "weight", weight.value(), 2);
    Device& device = hidden.device();
    const ActivityScope scope(device, {"", "linear_cross_entropy"});
    const int64_t rows = hidden.size(0);
    check_operand("linear_cross_entropy", "weight", weight.value(),
                  {weight.size(0), hidden.size(1)}, hidden.dtype(), device);
    check_operand("linear_cross_entropy", "targets", targets, {rows}, DType::I32, device);
    const DType wide = accumulation_dtype(hidden.dtype());
    const Tensor losses = Tensor::empty(device, {rows}, wide);  // (R)
    Tensor dhidden, dweight;                                    // (R, C), (V, C)
    if (recording({hidden, weight})) {
        if (hidden.requires_grad()) dhidden = Tensor::empty(device, hidden.shape(), hidden.dtype());
        if (weight.requires_grad()) dweight = Tensor::zeros(device, weight.shape(), wide);
    }
    call(device, "linear_cross_entropy", &Kernels::linear_cross_entropy,
         {.hidden = hidden.value().contiguous(),
          .weight = weight.value().contiguous(),
          .targets = targets,
          .grad_scale = loss_scale,
          .losses = losses,
          .dhidden = dhidden,
          .dweight = dweight});
    if (row_losses) *row_losses = losses;
    const Tensor loss = Tensor::empty(device, {1}, wide);  // (1)
    call(device, "sum_to", &Kernels::sum_to, {.x = losses, .y = loss});
    call(device, "scale", &Kernels::scale, {.x = loss, .y = loss, .alpha = loss_scale});
    return record("linear_cross_entropy", loss, {hidden, weight},
                  [hidden_edge = hidden.edge(), weight_edge = weight.edge(), dhidden,
                   dweight](const Tensor& dloss) {
                      const double factor = dloss.item();
                      if (hidden_edge.wanted()) add_scaled(hidden_edge, dhidden, factor);
                      if (weight_edge.wanted()) add_scaled(weight_edge, dweight, factor);
                  });
}

}  // namespace vila::autograd
