// y = alpha * x.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable scale(const Variable& x, double alpha) {
    check_float("scale", "x", x.value());
    const ActivityScope scope(x.device(), {"", "scale"});
    const Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());  // the shape of x
    call(x.device(), "scale", &Kernels::scale,
         {.x = x.value().contiguous(), .y = y, .alpha = alpha});
    return record("scale", y, {x}, [dx = x.edge(), alpha](const Tensor& dy) {
        const auto [sum, accumulate] = dx.target(dy.device());
        call(dy.device(), "scale", &Kernels::scale,
             {.x = dy, .y = sum, .alpha = alpha, .accumulate = accumulate});
    });
}

}  // namespace vila::autograd
