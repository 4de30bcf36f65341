// Space to depth, 2 x 2: four neighboring tokens become one.

#include <cmath>

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable merge_tokens(const Variable& x, bool column_major) {
    check_float("merge_tokens", "x", x.value(), 3);
    const ActivityScope scope(x.device(), {"", "merge_tokens"});
    const int64_t tokens = x.size(1);  // N
    const int64_t side = std::llround(std::sqrt(static_cast<double>(tokens)));
    VILA_CHECK(side * side == tokens, "[merge_tokens] ", tokens, " tokens: expected a square");
    const int64_t merged = (side + 1) / 2;
    const Tensor y =  // (B, N', 4C)
        Tensor::empty(x.device(), {x.size(0), merged * merged, 4 * x.size(2)}, x.dtype());
    call(x.device(), "merge_tokens", &Kernels::merge_tokens,
         {.x = x.value().contiguous(), .y = y, .column_major = column_major});
    return record("merge_tokens", y, {x}, [edge = x.edge(), column_major](const Tensor& dy) {
        const Tensor dx = Tensor::empty(dy.device(), edge.shape(), dy.dtype());  // (B, N, C)
        call(dy.device(), "merge_tokens", &Kernels::merge_tokens,
             {.x = dx, .y = dy, .column_major = column_major, .inverse = true});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
