// y = silu(gate) * up, silu(x) = x sigmoid(x).

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"
#include "tensor/cpu/vector_math.h"

namespace vila::cpu_kernels {

void swiglu_forward(const SwigluForwardArgs& args) {
    for_float("swiglu", args.gate.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T *gate = args.gate.data<T>(), *up = args.up.data<T>();
        T* y = args.y.data<T>();
        vector_for_elements(cpu(args.y), args.y.numel(), 2, [=](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const auto g = widen(gate[i]);
                y[i] = T(g * vector_math::sigmoid(g) * widen(up[i]));
            }
        });
    });
}

void swiglu_backward(const SwigluBackwardArgs& args) {
    for_float("swiglu", args.gate.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T *gate = args.gate.data<T>(), *up = args.up.data<T>(), *dy = args.dy.data<T>();
        T *dgate = args.dgate.data<T>(), *dup = args.dup.data<T>();
        vector_for_elements(cpu(args.dy), args.dy.numel(), 2, [=](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const auto g = widen(gate[i]), d = widen(dy[i]);
                const auto s = vector_math::sigmoid(g);
                dup[i] = T(d * g * s);
                dgate[i] = T(d * widen(up[i]) * s * (1 + g * (1 - s)));
            }
        });
    });
}

}  // namespace vila::cpu_kernels
