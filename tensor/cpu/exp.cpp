// y = exp(x).

#include <cmath>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

void exp(const ExpArgs& args) {
    for_float("exp", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        parallel_for(cpu(args.y), args.x.numel(), 8, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i)
                y[i] = T(std::exp(static_cast<compute_t<T>>(x[i])));
        });
    });
}

}  // namespace vila::cpu_kernels
