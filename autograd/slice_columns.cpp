// Columns [begin, end) of x: a view with the row stride of x.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable slice_columns(const Variable& x, int64_t begin, int64_t end) {
    check_float("slice_columns", "x", x.value(), 2);
    const ActivityScope scope(x.device(), {"", "slice_columns"});
    const Tensor y = x.value().slice(1, begin, end);  // (R, end - begin)
    return record("slice_columns", y, {x}, [edge = x.edge(), begin, end](const Tensor& dy) {
        const Tensor dx = Tensor::zeros(dy.device(), edge.shape(), dy.dtype());  // (R, C)
        dx.slice(1, begin, end).copy_from(dy);
        edge.add(dx);
    });
}

}  // namespace vila::autograd
