// y = alpha * x [+ y], between any two float dtypes.

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

void scale(const ScaleArgs& args) {
    for_float("scale", args.x.dtype(), [&](auto x_zero) {
        for_float("scale", args.y.dtype(), [&](auto y_zero) {
            using X = decltype(x_zero);
            using Y = decltype(y_zero);
            using Compute = std::common_type_t<compute_t<X>, compute_t<Y>>;
            const X* x = args.x.data<X>();
            Y* y = args.y.data<Y>();
            const auto alpha = static_cast<Compute>(args.alpha);
            parallel_for(cpu(args.y), args.x.numel(), 1, [&](int64_t begin, int64_t end) {
                if (args.accumulate) {
                    for (int64_t i = begin; i < end; ++i)
                        y[i] = Y(static_cast<compute_t<Y>>(
                            static_cast<Compute>(static_cast<compute_t<Y>>(y[i])) +
                            alpha * static_cast<Compute>(static_cast<compute_t<X>>(x[i]))));
                } else {
                    for (int64_t i = begin; i < end; ++i)
                        y[i] = Y(static_cast<compute_t<Y>>(
                            alpha * static_cast<Compute>(static_cast<compute_t<X>>(x[i]))));
                }
            });
        });
    });
}

}  // namespace vila::cpu_kernels
