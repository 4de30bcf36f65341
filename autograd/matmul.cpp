// c = op(a) op(b).

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

namespace {

// The shape (.., m, n) of op(a) op(b), for op(a) (.., m, k) and op(b) (.., k, n).
Shape product_shape(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
    VILA_CHECK(a.rank() >= 2 && a.rank() == b.rank(), "[matmul] shapes ", a, " and ", b,
               ": expected the same number of axes, at least 2");
    Shape c = a;
    for (int axis = 0; axis < a.rank() - 2; ++axis)
        VILA_CHECK(a[axis] == b[axis], "[matmul] shapes ", a, " and ", b,
                   ": expected equal leading axes");
    VILA_CHECK(a[transpose_a ? -2 : -1] == b[transpose_b ? -1 : -2], "[matmul] shapes ", a,
               transpose_a ? " transposed" : "", " and ", b, transpose_b ? " transposed" : "",
               ": expected equal inner extents");
    c[-2] = a[transpose_a ? -1 : -2];
    c[-1] = b[transpose_b ? -2 : -1];
    return c;
}

// Adds op(a) op(b) to the gradient of the edge.
void add_matmul(const Edge& edge, const Tensor& a, const Tensor& b, bool transpose_a,
                bool transpose_b) {
    const auto [c, accumulate] = edge.target(a.device());
    call(a.device(), "matmul", &Kernels::matmul,
         {.a = a,
          .b = b,
          .c = c,
          .transpose_a = transpose_a,
          .transpose_b = transpose_b,
          .accumulate = accumulate});
}

}  // namespace

Variable matmul(const Variable& a, const Variable& b, bool transpose_a, bool transpose_b) {
    check_float("matmul", "a", a.value());
    const ActivityScope scope(a.device(), {"", "matmul"});
    check_operand("matmul", "b", b.value(), b.shape(), a.dtype(), a.device());
    const Tensor left = a.value().contiguous(), right = b.value().contiguous();
    const Tensor c = Tensor::empty(  // (.., m, n)
        a.device(), product_shape(a.shape(), b.shape(), transpose_a, transpose_b), a.dtype());
    call(a.device(), "matmul", &Kernels::matmul,
         {.a = left, .b = right, .c = c, .transpose_a = transpose_a, .transpose_b = transpose_b});
    return record(
        "matmul", c, {a, b},
        [da = a.edge(), db = b.edge(), left, right, transpose_a, transpose_b](const Tensor& dc) {
            if (da.wanted() && !transpose_a) add_matmul(da, dc, right, false, !transpose_b);
            if (da.wanted() && transpose_a) add_matmul(da, right, dc, transpose_b, true);
            if (db.wanted() && !transpose_b) add_matmul(db, left, dc, !transpose_a, false);
            if (db.wanted() && transpose_b) add_matmul(db, dc, left, true, transpose_a);
        });
}

}  // namespace vila::autograd
