// Layer normalization.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps) {
    check_float("layer_norm", "x", x.value(), 2);
    Device& device = x.device();
    const ActivityScope scope(device, {"", "layer_norm"});
    const Shape columns = {x.size(1)};
    check_operand("layer_norm", "weight", weight.value(), columns, x.dtype(), device);
    check_operand("layer_norm", "bias", bias.value(), columns, x.dtype(), device);
    const Tensor input = x.value().contiguous();                   // (R, C)
    const Tensor y = Tensor::empty(device, x.shape(), x.dtype());  // (R, C)
    const DType wide = accumulation_dtype(x.dtype());
    const Tensor mean = Tensor::empty(device, {x.size(0)}, wide);     // (R)
    const Tensor inv_std = Tensor::empty(device, {x.size(0)}, wide);  // (R)
    call(device, "layer_norm_forward", &Kernels::layer_norm_forward,
         {.x = input,
          .weight = weight.value(),
          .bias = bias.value(),
          .eps = eps,
          .y = y,
          .mean = mean,
          .inv_std = inv_std});
    return record("layer_norm", y, {x, weight, bias},
                  [edge = x.edge(), dweight = weight.edge(), dbias = bias.edge(), input,
                   gain = weight.value(), mean, inv_std](const Tensor& dy) {
                      Device& device = dy.device();
                      const Tensor dx = Tensor::empty(device, dy.shape(), dy.dtype());  // (R, C)
                      call(device, "layer_norm_backward", &Kernels::layer_norm_backward,
                           {.x = input,
                            .weight = gain,
                            .mean = mean,
                            .inv_std = inv_std,
                            .dy = dy,
                            .dx = dx,
                            .dweight = dweight.wanted() ? dweight.accumulator(device) : Tensor(),
                            .dbias = dbias.wanted() ? dbias.accumulator(device) : Tensor()});
                      if (edge.wanted()) edge.add(dx);
                  });
}

}  // namespace vila::autograd
