// y = the sum of all elements of x.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable sum(const Variable& x) {
    check_float("sum", "x", x.value());
    const ActivityScope scope(x.device(), {"", "sum"});
    const Tensor y = Tensor::empty(x.device(), {1}, x.dtype());  // (1)
    call(x.device(), "sum_to", &Kernels::sum_to, {.x = x.value().contiguous(), .y = y});
    return record("sum", y, {x}, [edge = x.edge()](const Tensor& dy) {
        // dx = dy + 0, broadcast to the shape of x.
        const Tensor dx = Tensor::empty(dy.device(), edge.shape(), dy.dtype());
        const Tensor zero = Tensor::zeros(dy.device(), {1}, dy.dtype());
        call(dy.device(), "add", &Kernels::add, {.a = dy, .b = zero, .y = dx});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
