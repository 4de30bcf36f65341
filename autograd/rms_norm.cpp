// Root mean square normalization.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable rms_norm(const Variable& x, const Variable& weight, double eps) {
    check_float("rms_norm", "x", x.value(), 2);
    Device& device = x.device();
    const ActivityScope scope(device, {"", "rms_norm"});
    check_operand("rms_norm", "weight", weight.value(), {x.size(1)}, x.dtype(), device);
    const Tensor input = x.value().contiguous();                   // (R, C)
    const Tensor y = Tensor::empty(device, x.shape(), x.dtype());  // (R, C)
    const Tensor inv_rms =                                         // (R)
        Tensor::empty(device, {x.size(0)}, accumulation_dtype(x.dtype()));
    call(device, "rms_norm_forward", &Kernels::rms_norm_forward,
         {.x = input, .weight = weight.value(), .eps = eps, .y = y, .inv_rms = inv_rms});
    return record("rms_norm", y, {x, weight},
                  [edge = x.edge(), dweight = weight.edge(), input, gain = weight.value(),
                   inv_rms](const Tensor& dy) {
                      Device& device = dy.device();
                      const Tensor dx = Tensor::empty(device, dy.shape(), dy.dtype());  // (R, C)
                      call(device, "rms_norm_backward", &Kernels::rms_norm_backward,
                           {.x = input,
                            .weight = gain,
                            .inv_rms = inv_rms,
                            .dy = dy,
                            .dx = dx,
                            .dweight = dweight.wanted() ? dweight.accumulator(device) : Tensor()});
                      if (edge.wanted()) edge.add(dx);
                  });
}

}  // namespace vila::autograd
