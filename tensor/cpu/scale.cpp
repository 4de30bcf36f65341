// y = alpha * x [+ y], between any two float dtypes.

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"

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
            const auto product = [=](int64_t i) {
                return alpha * static_cast<Compute>(widen(x[i]));
            };
            const auto narrow = [](Compute value) { return Y(static_cast<compute_t<Y>>(value)); };
            vector_for_elements(
                cpu(args.y), args.x.numel(), 1,
                [=, accumulate = args.accumulate](int64_t begin, int64_t end) {
                    if (accumulate) {
                        for (int64_t i = begin; i < end; ++i)
                            y[i] = narrow(static_cast<Compute>(widen(y[i])) + product(i));
                    } else {
                        for (int64_t i = begin; i < end; ++i) y[i] = narrow(product(i));
                    }
                });
        });
    });
}

}  // namespace vila::cpu_kernels
