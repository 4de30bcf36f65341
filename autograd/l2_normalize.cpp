// Scales rows to unit length.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable l2_normalize(const Variable& x, double eps) {
    check_float("l2_normalize", "x", x.value(), 2);
    const ActivityScope scope(x.device(), {"", "l2_normalize"});
    const Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());  // (R, C)
    const Tensor norm =                                                // (R)
        Tensor::empty(x.device(), {x.size(0)}, accumulation_dtype(x.dtype()));
    call(x.device(), "l2_normalize_forward", &Kernels::l2_normalize_forward,
         {.x = x.value().contiguous(), .eps = eps, .y = y, .norm = norm});
    return record("l2_normalize", y, {x}, [edge = x.edge(), y, norm, eps](const Tensor& dy) {
        const Tensor dx = Tensor::empty(dy.device(), dy.shape(), dy.dtype());  // (R, C)
        call(dy.device(), "l2_normalize_backward", &Kernels::l2_normalize_backward,
             {.y = y, .norm = norm, .dy = dy, .eps = eps, .dx = dx});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
