// y = x weight^T + bias, optionally followed by the addition of a residual and by GELU.

#include "autograd/broadcast.h"
#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                const LinearEpilogue& then) {
    check_float("linear", "x", x.value(), 2);
    check_float("linear", "weight", weight.value(), 2);
    Device& device = x.device();
    const ActivityScope scope(device, {"", "linear"});
    const int64_t rows = x.size(0), inputs = x.size(1), outputs = weight.size(0);
    check_operand("linear", "weight", weight.value(), {outputs, inputs}, x.dtype(), device);
    if (bias.defined()) check_operand("linear", "bias", bias.value(), {outputs}, x.dtype(), device);
    const Variable& residual = then.residual;
    Tensor residual_value, pre_activation;  // (R, D)
    if (residual.defined()) {
        check_operand("linear", "residual", residual.value(), {rows, outputs}, x.dtype(), device);
        residual_value = residual.value().contiguous();
    }
    const Tensor input = x.value().contiguous();                         // (R, C)
    const Tensor matrix = weight.value();                                // (D, C)
    const Tensor y = Tensor::empty(device, {rows, outputs}, x.dtype());  // (R, D)
    if (then.gelu && recording({x, weight, bias, residual}))
        pre_activation = Tensor::empty(device, y.shape(), y.dtype());
    call(device, "matmul", &Kernels::matmul,
         {.a = input,
          .b = matrix,
          .c = y,
          .transpose_b = true,
          .bias = bias.value(),
          .residual = residual_value,
          .gelu = then.gelu,
          .pre_activation = pre_activation});
    return record(
        "linear", y, {x, weight, bias, residual},
        [dx = x.edge(), dweight = weight.edge(), dbias = bias.edge(), dresidual = residual.edge(),
         input, matrix, kind = then.gelu, pre_activation](const Tensor& gradient) {
            Device& device = gradient.device();
            Tensor dy = gradient;  // (R, D), the gradient of the sum before GELU
            if (kind) {
                dy = Tensor::empty(device, gradient.shape(), gradient.dtype());
                call(device, "gelu_backward", &Kernels::gelu_backward,
                     {.x = pre_activation, .kind = *kind, .dy = gradient, .dx = dy});
            }
            if (dresidual.wanted()) dresidual.add(dy);
            if (dx.wanted()) {
                const auto [c, accumulate] = dx.target(device);
                call(device, "matmul", &Kernels::matmul,
                     {.a = dy, .b = matrix, .c = c, .accumulate = accumulate});
            }
            if (dweight.wanted()) {
                const auto [c, accumulate] = dweight.target(device);
                call(device, "matmul", &Kernels::matmul,
                     {.a = dy, .b = input, .c = c, .transpose_a = true, .accumulate = accumulate});
            }
            if (dbias.wanted()) add_summed(dbias, dy);
        });
}

}  // namespace vila::autograd
