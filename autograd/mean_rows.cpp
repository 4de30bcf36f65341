// The mean of the rows of each packed sequence.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable mean_rows(const Variable& x, const Tensor& cu_seqlens) {
    check_float("mean_rows", "x", x.value(), 2);
    const ActivityScope scope(x.device(), {"", "mean_rows"});
    check_index("mean_rows", "cu_seqlens", cu_seqlens, x.device());
    VILA_CHECK(cu_seqlens.size(0) >= 1, "[mean_rows] cu_seqlens is empty: expected (B + 1) values");
    const Tensor y =  // (B, C)
        Tensor::empty(x.device(), {cu_seqlens.size(0) - 1, x.size(1)}, x.dtype());
    call(x.device(), "mean_rows_forward", &Kernels::mean_rows_forward,
         {.x = x.value().contiguous(), .cu_seqlens = cu_seqlens, .y = y});
    return record("mean_rows", y, {x}, [edge = x.edge(), cu_seqlens](const Tensor& dy) {
        const Tensor dx = Tensor::empty(dy.device(), edge.shape(), dy.dtype());  // (R, C)
        call(dy.device(), "mean_rows_backward", &Kernels::mean_rows_backward,
             {.cu_seqlens = cu_seqlens, .dy = dy, .dx = dx});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
