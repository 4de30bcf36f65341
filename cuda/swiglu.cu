// y = silu(gate) * up, silu(x) = x sigmoid(x). One thread per element.

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

template <typename T>
struct SwigluForward {
    const T *gate, *up;
    T* y;

    __device__ void operator()(int64_t i) const {
        const auto g = widen(gate[i]);
        y[i] = narrow<T>(g * math::sigmoid(g) * widen(up[i]));
    }
};

template <typename T>
struct SwigluBackward {
    const T *gate, *up, *dy;
    T *dgate, *dup;

    __device__ void operator()(int64_t i) const {
        const auto g = widen(gate[i]), d = widen(dy[i]);
        const auto s = math::sigmoid(g);
        dup[i] = narrow<T>(d * g * s);
        dgate[i] = narrow<T>(d * widen(up[i]) * s * (1 + g * (1 - s)));
    }
};

}  // namespace

void swiglu_forward(const SwigluForwardArgs& args) {
    for_float("swiglu", args.gate.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_elements(device_of(args.y), args.y.numel(),
                     SwigluForward<T>{args.gate.data<T>(), args.up.data<T>(), args.y.data<T>()});
    });
}

void swiglu_backward(const SwigluBackwardArgs& args) {
    for_float("swiglu", args.gate.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_elements(device_of(args.dy), args.dy.numel(),
                     SwigluBackward<T>{args.gate.data<T>(), args.up.data<T>(), args.dy.data<T>(),
                                       args.dgate.data<T>(), args.dup.data<T>()});
    });
}

}  // namespace vila::cuda
