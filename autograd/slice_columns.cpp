// Columns [begin, end) of x: a view, its rows strided as x's.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable slice_columns(const Variable& x, int64_t begin, int64_t end) {
    check_float("slice_columns", "x", x.value(), 2);
    const Tensor y = x.value().slice(1, begin, end);
    return record("slice_columns", y, {x}, [edge = x.edge(), begin, end](const Tensor& dy) {
        const Tensor dx = Tensor::zeros(dy.device(), edge.shape(), dy.dtype());
        dx.slice(1, begin, end).copy_from(dy);
        edge.add(dx);
    });
}

}  // namespace vila::autograd
