// y = exp(x).

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable exp(const Variable& x) {
    check_float("exp", "x", x.value());
    const ActivityScope scope(x.device(), {"", "exp"});
    const Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());  // the shape of x
    call(x.device(), "exp", &Kernels::exp, {.x = x.value().contiguous(), .y = y});
    return record("exp", y, {x}, [edge = x.edge(), y](const Tensor& dy) {
        const Tensor dx = Tensor::empty(dy.device(), dy.shape(), dy.dtype());
        call(dy.device(), "mul", &Kernels::mul, {.a = dy, .b = y, .y = dx});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
