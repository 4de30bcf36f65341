// Root mean square normalization along rows: y = x * inv_rms * weight.

#include <cmath>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"

namespace vila::cpu_kernels {

namespace {

template <typename T>
VILA_ALWAYS_INLINE void forward_row(const T* x, const T* weight, compute_t<T> eps, int64_t columns,
                                    T* y, compute_t<T>* inv_rms) {
    const auto squares =
        vector_sum<compute_t<T>>(columns, [=](int64_t c) { return widen(x[c]) * widen(x[c]); });
    const auto inverse = 1 / std::sqrt(squares / static_cast<compute_t<T>>(columns) + eps);
    *inv_rms = inverse;
    for (int64_t c = 0; c < columns; ++c) y[c] = T(widen(x[c]) * inverse * widen(weight[c]));
}

// With n = x * inv_rms and g = dy * weight: dx = inv_rms (g - n mean(g n)), dweight += dy n.
template <typename T>
VILA_ALWAYS_INLINE void backward_row(const T* x, const T* weight, compute_t<T> inv_rms, const T* dy,
                                     int64_t columns, T* dx, compute_t<T>* dweight) {
    const auto dot = vector_sum<compute_t<T>>(
        columns, [=](int64_t c) { return widen(dy[c]) * widen(weight[c]) * widen(x[c]); });
    const auto mean = dot * inv_rms / static_cast<compute_t<T>>(columns);
    for (int64_t c = 0; c < columns; ++c) {
        const auto normalized = widen(x[c]) * inv_rms;
        dweight[c] += widen(dy[c]) * normalized;
        dx[c] = T(inv_rms * (widen(dy[c]) * widen(weight[c]) - normalized * mean));
    }
}

}  // namespace

void rms_norm_forward(const RmsNormForwardArgs& args) {
    for_float("rms_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.x.size(1);
        const T *x = args.x.data<T>(), *weight = args.weight.data<T>();
        T* y = args.y.data<T>();
        auto* inv_rms = args.inv_rms.data<compute_t<T>>();
        const auto eps = static_cast<compute_t<T>>(args.eps);
        vector_for(cpu(args.y), args.x.size(0), columns / 2, [=](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r)
                forward_row(x + r * columns, weight, eps, columns, y + r * columns, inv_rms + r);
        });
    });
}

void rms_norm_backward(const RmsNormBackwardArgs& args) {
    for_float("rms_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T *x = args.x.data<T>(), *weight = args.weight.data<T>(), *dy = args.dy.data<T>();
        const Compute* inv_rms = args.inv_rms.data<Compute>();
        T* dx = args.dx.data<T>();
        Compute* dweight = args.dweight.defined() ? args.dweight.data<Compute>() : nullptr;
        sum_rows_in_chunks(args.x.device(), args.x.size(0), columns, dweight,
                           [=](int64_t begin, int64_t end, Compute* partial) {
                               for (int64_t r = begin; r < end; ++r)
                                   backward_row(x + r * columns, weight, inv_rms[r],
                                                dy + r * columns, columns, dx + r * columns,
                                                partial);
                           });
    });
}

}  // namespace vila::cpu_kernels
