// y = x W^T + bias for a block-quantized W, optionally followed by the addition of a residual and
// by GELU. W gets no gradient.

#include "autograd/broadcast.h"
#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable quantized_linear(const Variable& x, const QuantizedMatrix& weight, const Variable& bias,
                          const LinearEpilogue& then) {
    check_float("quantized_linear", "x", x.value(), 2);
    check_quantized("[quantized_linear] weight", weight);
    Device& device = x.device();
    const ActivityScope scope(device, {"", "quantized_linear"});
    const int64_t rows = x.size(0), outputs = weight.shape[0], inputs = weight.shape[1];
    check_operand("quantized_linear", "x", x.value(), {rows, inputs}, x.dtype(),
                  weight.values.device());
    if (bias.defined())
        check_operand("quantized_linear", "bias", bias.value(), {outputs}, x.dtype(), device);
    const Variable& residual = then.residual;
    Tensor residual_value;  // (R, D)
    if (residual.defined()) {
        check_operand("quantized_linear", "residual", residual.value(), {rows, outputs}, x.dtype(),
                      device);
        residual_value = residual.value().contiguous();
    }
    const Tensor sum = Tensor::empty(device, {rows, outputs}, x.dtype());  // (R, D)
    call(device, "quantized_matmul", &Kernels::quantized_matmul_forward,
         {.x = x.value().contiguous(),
          .weight = weight,
          .bias = bias.value(),
          .residual = residual_value,
          .y = sum});
    Tensor y = sum;  // (R, D)
    if (then.gelu) {
        if (recording({x, bias, residual})) y = Tensor::empty(device, y.shape(), y.dtype());
        call(device, "gelu_forward", &Kernels::gelu_forward,
             {.x = sum, .kind = *then.gelu, .y = y});
    }
    return record("quantized_linear", y, {x, bias, residual},
                  [dx = x.edge(), dbias = bias.edge(), dresidual = residual.edge(), weight,
                   kind = then.gelu, sum = then.gelu ? sum : Tensor()](const Tensor& gradient) {
                      Device& device = gradient.device();
                      Tensor dy = gradient;  // (R, D), the gradient of the sum before GELU
                      if (kind) {
                          dy = Tensor::empty(device, gradient.shape(), gradient.dtype());
                          call(device, "gelu_backward", &Kernels::gelu_backward,
                               {.x = sum, .kind = *kind, .dy = gradient, .dx = dy});
                      }
                      if (dresidual.wanted()) dresidual.add(dy);
                      if (dx.wanted()) {
                          const Tensor through =  // (R, C)
                              Tensor::empty(device, dx.shape(), dy.dtype());
                          call(device, "quantized_matmul", &Kernels::quantized_matmul_backward,
                               {.weight = weight, .dy = dy, .dx = through});
                          dx.add(through);
                      }
                      if (dbias.wanted()) add_summed(dbias, dy);
                  });
}

}  // namespace vila::autograd
