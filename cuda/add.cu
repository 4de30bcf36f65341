// y = a + b with broadcasting. One thread per element of y: two reads and one write of memory.

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/strided.h"

namespace vila::cuda {

namespace {

template <typename T>
struct Add {
    const T *a, *b;
    T* y;
    StridedPlan<2> plan;

    __device__ void operator()(int64_t i) const {
        y[i] = narrow<T>(widen(a[plan.offset(i, 0)]) + widen(b[plan.offset(i, 1)]));
    }
};

}  // namespace

void add(const BinaryArgs& args) {
    for_float("add", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const Shape& full = args.y.shape();
        const auto plan = plan_strided<2>(full, {broadcast_strides(args.a.shape(), full),
                                                 broadcast_strides(args.b.shape(), full)});
        for_elements(device_of(args.y), args.y.numel(),
                     Add<T>{args.a.data<T>(), args.b.data<T>(), args.y.data<T>(), plan});
    });
}

}  // namespace vila::cuda
