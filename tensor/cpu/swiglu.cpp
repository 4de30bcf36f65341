// y = silu(gate) * up.

#include <cmath>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

void swiglu_forward(const SwigluForwardArgs& args) {
    for_float("swiglu", args.gate.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const T* gate = args.gate.data<T>();
        const T* up = args.up.data<T>();
        T* y = args.y.data<T>();
        parallel_for(cpu(args.y), args.y.numel(), 8, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const Compute g = static_cast<Compute>(gate[i]);
                y[i] = T(g / (1 + std::exp(-g)) * static_cast<Compute>(up[i]));
            }
        });
    });
}

void swiglu_backward(const SwigluBackwardArgs& args) {
    for_float("swiglu", args.gate.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const T* gate = args.gate.data<T>();
        const T* up = args.up.data<T>();
        const T* dy = args.dy.data<T>();
        T* dgate = args.dgate.data<T>();
        T* dup = args.dup.data<T>();
        parallel_for(cpu(args.dy), args.dy.numel(), 8, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const Compute g = static_cast<Compute>(gate[i]);
                const Compute d = static_cast<Compute>(dy[i]);
                const Compute sigmoid = 1 / (1 + std::exp(-g));
                dup[i] = T(d * g * sigmoid);
                dgate[i] = T(d * static_cast<Compute>(up[i]) * sigmoid * (1 + g * (1 - sigmoid)));
            }
        });
    });
}

}  // namespace vila::cpu_kernels
