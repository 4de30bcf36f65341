// y = x weight^T + bias.

#include "autograd/broadcast.h"
#include "autograd/checks.h"
#include "autograd/ops.h"

namespace vila::autograd {

Variable linear(const Variable& x, const Variable& weight, const Variable& bias) {
    check_float("linear", "x", x.value(), 2);
    check_float("linear", "weight", weight.value(), 2);
    Device& device = x.device();
    const int64_t rows = x.size(0), inputs = x.size(1), outputs = weight.size(0);
    check_operand("linear", "weight", weight.value(), {outputs, inputs}, x.dtype(), device);
    if (bias.defined()) check_operand("linear", "bias", bias.value(), {outputs}, x.dtype(), device);
    const Tensor input = x.value().contiguous(), matrix = weight.value();
    const Tensor y = Tensor::empty(device, {rows, outputs}, x.dtype());
    call(device, "matmul", &Kernels::matmul,
         {.a = input, .b = matrix, .c = y, .transpose_b = true, .bias = bias.value()});
    return record(
        "linear", y, {x, weight, bias},
        [dx = x.edge(), dweight = weight.edge(), dbias = bias.edge(), input,
         matrix](const Tensor& dy) {
            Device& device = dy.device();
            if (dx.wanted()) {
                const auto [c, accumulate] = dx.target(device);
                call(device, "matmul", &Kernels::matmul,
                     {.a = dy, .b = matrix, .c = c, .accumulate = accumulate});
            }
            if (dweight.wanted()) {
                const auto [c, accumulate] = dweight.target(device);
                call(device, "matmul", &Kernels::matmul,
                     {.a = dy, .b = input, .c = c, .transpose_a = true, .accumulate = accumulate});
            }
            if (dbias.wanted()) add_summed(dbias, dy);
        });
}

}  // namespace vila::autograd
