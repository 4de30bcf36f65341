// Gathers rows of x by index; an index of -1 gives a row of zeros.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable gather_rows(const Variable& x, const Tensor& index) {
    check_float("gather_rows", "x", x.value(), 2);
    const ActivityScope scope(x.device(), {"", "gather_rows"});
    check_index("gather_rows", "index", index, x.device());
    const Tensor y = Tensor::empty(x.device(), {index.size(0), x.size(1)}, x.dtype());  // (R, C)
    call(x.device(), "gather_rows", &Kernels::gather_rows,
         {.x = x.value().contiguous(), .index = index, .y = y});
    return record("gather_rows", y, {x}, [dx = x.edge(), index](const Tensor& dy) {
        call(dy.device(), "scatter_add_rows", &Kernels::scatter_add_rows,
             {.x = dy, .index = index, .y = dx.accumulator(dy.device())});
    });
}

}  // namespace vila::autograd
