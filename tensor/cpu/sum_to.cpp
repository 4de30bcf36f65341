// y = x summed along broadcast axes.

#include "tensor/cpu/broadcast.h"
#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

namespace {

// sum (elements of y) += x, element after element.
template <typename T>
void sum_reference(const BroadcastPlan<1>& plan, const T* x, compute_t<T>* sum) {
    const int64_t step = plan.stride[0][0];
    for (int64_t row = 0; row < plan.outer(); ++row) {
        compute_t<T>* out = sum + plan.offsets(row)[0];
        const T* x_row = x + row * plan.inner();
        for (int64_t i = 0; i < plan.inner(); ++i)
            out[i * step] += static_cast<compute_t<T>>(x_row[i]);
    }
}

}  // namespace

void sum_to(const SumToArgs& args) {
    for_float("sum_to", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const Tensor sum = Tensor::zeros(args.x.device(), args.y.shape(), dtype_of<compute_t<T>>);
        if (args.x.numel() > 0)
            sum_reference(plan_broadcast<1>(args.x.shape(), {&args.y.shape()}), args.x.data<T>(),
                          sum.data<compute_t<T>>());
        scale({.x = sum, .y = args.y, .alpha = 1.0, .accumulate = args.accumulate});
    });
}

}  // namespace vila::cpu_kernels
