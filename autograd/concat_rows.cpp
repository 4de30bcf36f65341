// The rows of x, followed by the rows of y.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable concat_rows(const Variable& x, const Variable& y) {
    check_float("concat_rows", "x", x.value(), 2);
    check_float("concat_rows", "y", y.value(), 2);
    const ActivityScope scope(x.device(), {"", "concat_rows"});
    const int64_t x_rows = x.size(0), rows = x_rows + y.size(0);
    check_operand("concat_rows", "y", y.value(), {y.size(0), x.size(1)}, x.dtype(), x.device());
    const Tensor both = Tensor::empty(x.device(), {rows, x.size(1)}, x.dtype());  // (R + Q, C)
    both.slice(0, 0, x_rows).copy_from(x.value());
    both.slice(0, x_rows, rows).copy_from(y.value());
    return record("concat_rows", both, {x, y},
                  [dx = x.edge(), dy = y.edge(), x_rows, rows](const Tensor& dboth) {
                      if (dx.wanted()) dx.add(dboth.slice(0, 0, x_rows));
                      if (dy.wanted()) dy.add(dboth.slice(0, x_rows, rows));
                  });
}

}  // namespace vila::autograd
