// y = alpha * x [+ y], between any two float dtypes. One thread per element.

#include "cuda/elements.h"
#include "cuda/kernels.h"

namespace vila::cuda {

namespace {

template <typename X, typename Y>
struct Scale {
    using Compute = std::common_type_t<compute_t<X>, compute_t<Y>>;
    const X* x;
    Y* y;
    Compute alpha;
    bool accumulate;

    __device__ void operator()(int64_t i) const {
        const Compute product = alpha * static_cast<Compute>(widen(x[i]));
        y[i] = narrow<Y>(accumulate ? static_cast<Compute>(widen(y[i])) + product : product);
    }
};

}  // namespace

void scale(const ScaleArgs& args) {
    for_float("scale", args.x.dtype(), [&](auto x_zero) {
        for_float("scale", args.y.dtype(), [&](auto y_zero) {
            using X = decltype(x_zero);
            using Y = decltype(y_zero);
            using Op = Scale<X, Y>;
            for_elements(device_of(args.y), args.x.numel(),
                         Op{args.x.data<X>(), args.y.data<Y>(),
                            static_cast<typename Op::Compute>(args.alpha), args.accumulate});
        });
    });
}

}  // namespace vila::cuda
