// Layer normalisation along rows.

#include <cmath>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

void layer_norm_forward(const LayerNormForwardArgs& args) {
    for_float("layer_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        const T* weight = args.weight.data<T>();
        const T* bias = args.bias.data<T>();
        T* y = args.y.data<T>();
        Compute* means = args.mean.data<Compute>();
        Compute* inv_std = args.inv_std.data<Compute>();
        const auto eps = static_cast<Compute>(args.eps);
        parallel_for(cpu(args.y), args.x.size(0), columns, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const T* x_r = x + r * columns;
                Compute sum = 0;
                for (int64_t c = 0; c < columns; ++c) sum += static_cast<Compute>(x_r[c]);
                const Compute mean = sum / static_cast<Compute>(columns);
                Compute squares = 0;
                for (int64_t c = 0; c < columns; ++c) {
                    const Compute centred = static_cast<Compute>(x_r[c]) - mean;
                    squares += centred * centred;
                }
                means[r] = mean;
                inv_std[r] = 1 / std::sqrt(squares / static_cast<Compute>(columns) + eps);
                for (int64_t c = 0; c < columns; ++c)
                    y[r * columns + c] = T((static_cast<Compute>(x_r[c]) - mean) * inv_std[r] *
                                               static_cast<Compute>(weight[c]) +
                                           static_cast<Compute>(bias[c]));
            }
        });
    });
}

void layer_norm_backward(const LayerNormBackwardArgs& args) {
    for_float("layer_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        const T* weight = args.weight.data<T>();
        const T* dy = args.dy.data<T>();
        const Compute* means = args.mean.data<Compute>();
        const Compute* inv_std = args.inv_std.data<Compute>();
        T* dx = args.dx.data<T>();
        Compute* dweight = args.dweight.defined() ? args.dweight.data<Compute>() : nullptr;
        Compute* dbias = args.dbias.defined() ? args.dbias.data<Compute>() : nullptr;
        for (int64_t r = 0; r < args.x.size(0); ++r) {
            const T* x_r = x + r * columns;
            const T* dy_r = dy + r * columns;
            Compute sum = 0, dot = 0;  // of g = dy * weight; of g and the normalised x
            for (int64_t c = 0; c < columns; ++c) {
                const Compute g = static_cast<Compute>(dy_r[c]) * static_cast<Compute>(weight[c]);
                sum += g;
                dot += g * (static_cast<Compute>(x_r[c]) - means[r]) * inv_std[r];
            }
            const Compute g_mean = sum / static_cast<Compute>(columns);
            const Compute dot_mean = dot / static_cast<Compute>(columns);
            for (int64_t c = 0; c < columns; ++c) {
                const Compute normal = (static_cast<Compute>(x_r[c]) - means[r]) * inv_std[r];
                const Compute g = static_cast<Compute>(dy_r[c]);
                if (dweight) dweight[c] += g * normal;
                if (dbias) dbias[c] += g;
                dx[r * columns + c] = T(inv_std[r] * (g * static_cast<Compute>(weight[c]) - g_mean -
                                                      normal * dot_mean));
            }
        }
    });
}

}  // namespace vila::cpu_kernels
