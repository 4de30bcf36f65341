// y = exp(x). One thread per element.

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

template <typename T>
struct Exp {
    const T* x;
    T* y;

    __device__ void operator()(int64_t i) const { y[i] = narrow<T>(math::exp(widen(x[i]))); }
};

}  // namespace

void exp(const ExpArgs& args) {
    for_float("exp", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_elements(device_of(args.y), args.x.numel(), Exp<T>{args.x.data<T>(), args.y.data<T>()});
    });
}

}  // namespace vila::cuda
