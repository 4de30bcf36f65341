// copy and fill: strided, with conversion between any two dtypes. One thread per element, in the
// row-major order of y: a transposing copy writes whole cache lines and reads scattered elements.

#include "cuda/convert.h"
#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/strided.h"
#include "tensor/dispatch.h"

namespace vila::cuda {

namespace {

template <typename From, typename To>
struct Copy {
    const From* x;
    To* y;
    StridedPlan<2> plan;

    __device__ void operator()(int64_t i) const {
        y[plan.offset(i, 1)] = convert<To>(x[plan.offset(i, 0)]);
    }
};

template <typename To>
struct Fill {
    To* y;
    double value;
    StridedPlan<1> plan;

    __device__ void operator()(int64_t i) const { y[plan.offset(i, 0)] = convert<To>(value); }
};

}  // namespace

void copy(const CopyArgs& args) {
    const auto plan = plan_strided<2>(args.y.shape(), {args.x.strides(), args.y.strides()});
    for_any(args.x.dtype(), [&](auto from) {
        for_any(args.y.dtype(), [&](auto to) {
            using From = decltype(from);
            using To = decltype(to);
            for_elements(device_of(args.y), args.y.numel(),
                         Copy<From, To>{args.x.data<From>(), args.y.data<To>(), plan});
        });
    });
}

void fill(const FillArgs& args) {
    const auto plan = plan_strided<1>(args.y.shape(), {args.y.strides()});
    for_any(args.y.dtype(), [&](auto zero) {
        using To = decltype(zero);
        for_elements(device_of(args.y), args.y.numel(),
                     Fill<To>{args.y.data<To>(), args.value, plan});
    });
}

}  // namespace vila::cuda
