// GELU, exact or approximate (see GeluKind).

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable gelu(const Variable& x, GeluKind kind) {
    check_float("gelu", "x", x.value());
    const ActivityScope scope(x.device(), {"", "gelu"});
    const Tensor input = x.value().contiguous();
    const Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());  // the shape of x
    call(x.device(), "gelu_forward", &Kernels::gelu_forward, {.x = input, .kind = kind, .y = y});
    return record("gelu", y, {x}, [edge = x.edge(), input, kind](const Tensor& dy) {
        const Tensor dx = Tensor::empty(dy.device(), dy.shape(), dy.dtype());
        call(dy.device(), "gelu_backward", &Kernels::gelu_backward,
             {.x = input, .kind = kind, .dy = dy, .dx = dx});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
