// y = exp(x).

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"
#include "tensor/cpu/vector_math.h"

namespace vila::cpu_kernels {

void exp(const ExpArgs& args) {
    for_float("exp", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        vector_for_elements(cpu(args.y), args.x.numel(), 1, [=](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) y[i] = T(vector_math::exp(widen(x[i])));
        });
    });
}

}  // namespace vila::cpu_kernels
