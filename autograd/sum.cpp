// y = sum of all elements of x.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable sum(const Variable& x) {
    check_float("sum", "x", x.value());
    const Tensor y = Tensor::empty(x.device(), {1}, x.dtype());
    call(x.device(), "sum_to", &Kernels::sum_to, {.x = x.value().contiguous(), .y = y});
    return record("sum", y, {x}, [edge = x.edge()](const Tensor& dy) {
        // dy for every element: both operands of this addition are one value, broadcast.
        const Tensor dx = Tensor::empty(dy.device(), edge.shape(), dy.dtype());
        const Tensor zero = Tensor::zeros(dy.device(), {1}, dy.dtype());
        call(dy.device(), "add", &Kernels::add, {.a = dy, .b = zero, .y = dx});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
