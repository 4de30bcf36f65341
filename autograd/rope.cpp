// Rotary position embedding.

#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable rope(const Variable& x, const Tensor& positions, const Tensor& cos_table,
              const Tensor& sin_table) {
    const Tensor cos = cos_table.contiguous();  // (max positions, D/2)
    const Tensor sin = sin_table.contiguous();  // (max positions, D/2)
    check_float("rope", "x", x.value(), 3);
    Device& device = x.device();
    const ActivityScope scope(device, {"", "rope"});
    VILA_CHECK(x.size(2) % 2 == 0, "[rope] x has shape ", x.shape(), ": expected an even head dim");
    check_operand("rope", "positions", positions, {x.size(0)}, DType::I32, device);
    VILA_CHECK(cos.rank() == 2, "[rope] cos has shape ", cos.shape(), ": expected 2 axes");
    const Shape table = {cos.size(0), x.size(2) / 2};
    check_operand("rope", "cos", cos, table, accumulation_dtype(x.dtype()), device);
    check_operand("rope", "sin", sin, table, accumulation_dtype(x.dtype()), device);
    const Tensor y = Tensor::empty(device, x.shape(), x.dtype());  // (R, H, D)
    call(device, "rope", &Kernels::rope,
         {.x = x.value(), .positions = positions, .cos = cos, .sin = sin, .y = y});
    return record("rope", y, {x}, [edge = x.edge(), positions, cos, sin](const Tensor& dy) {
        const Tensor dx = Tensor::empty(dy.device(), dy.shape(), dy.dtype());  // (R, H, D)
        call(dy.device(), "rope", &Kernels::rope,
             {.x = dy, .positions = positions, .cos = cos, .sin = sin, .y = dx, .inverse = true});
        edge.add(dx);
    });
}

}  // namespace vila::autograd
