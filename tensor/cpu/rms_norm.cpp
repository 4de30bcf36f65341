// Root mean square normalisation along rows.

#include <cmath>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

void rms_norm_forward(const RmsNormForwardArgs& args) {
    for_float("rms_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        const T* weight = args.weight.data<T>();
        T* y = args.y.data<T>();
        Compute* inv_rms = args.inv_rms.data<Compute>();
        const auto eps = static_cast<Compute>(args.eps);
        parallel_for(cpu(args.y), args.x.size(0), columns, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const T* x_r = x + r * columns;
                Compute squares = 0;
                for (int64_t c = 0; c < columns; ++c)
                    squares += static_cast<Compute>(x_r[c]) * static_cast<Compute>(x_r[c]);
                inv_rms[r] = 1 / std::sqrt(squares / static_cast<Compute>(columns) + eps);
                for (int64_t c = 0; c < columns; ++c)
                    y[r * columns + c] = T(static_cast<Compute>(x_r[c]) * inv_rms[r] *
                                           static_cast<Compute>(weight[c]));
            }
        });
    });
}

void rms_norm_backward(const RmsNormBackwardArgs& args) {
    for_float("rms_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        const T* weight = args.weight.data<T>();
        const T* dy = args.dy.data<T>();
        const Compute* inv_rms = args.inv_rms.data<Compute>();
        T* dx = args.dx.data<T>();
        Compute* dweight = args.dweight.defined() ? args.dweight.data<Compute>() : nullptr;
        for (int64_t r = 0; r < args.x.size(0); ++r) {
            const T* x_r = x + r * columns;
            const T* dy_r = dy + r * columns;
            Compute dot = 0;  // of dy * weight and the normalised x
            for (int64_t c = 0; c < columns; ++c)
                dot += static_cast<Compute>(dy_r[c]) * static_cast<Compute>(weight[c]) *
                       static_cast<Compute>(x_r[c]) * inv_rms[r];
            const Compute mean = dot / static_cast<Compute>(columns);
            for (int64_t c = 0; c < columns; ++c) {
                const Compute normal = static_cast<Compute>(x_r[c]) * inv_rms[r];
                const Compute g = static_cast<Compute>(dy_r[c]);
                if (dweight) dweight[c] += g * normal;
                dx[r * columns + c] =
                    T(inv_rms[r] * (g * static_cast<Compute>(weight[c]) - normal * mean));
            }
        }
    });
}

}  // namespace vila::cpu_kernels
