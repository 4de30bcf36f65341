// Softmax along rows.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable softmax(const Variable& x) {
    check_float("softmax", "x", x.value(), 2);
    const ActivityScope scope(x.device(), {"", "softmax"});
    const Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());  // (R, C)
    call(x.device(), "softmax_forward", &Kernels::softmax_forward,
         {.x = x.value().contiguous(), .y = y});
    return record("softmax", y, {x}, [edge = x.edge(), y](const Tensor& dy) {
        const Tensor dx = Tensor::empty(dy.device(), dy.shape(), dy.dtype());  // (R, C)
        call(dy.device(), "softmax_backward", &Kernels::softmax_backward,
             {.y = y, .dy = dy, .dx = dx});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
