// Layer normalization along rows: y = (x - mean) * inv_std * weight + bias.

#include <cmath>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"

namespace vila::cpu_kernels {

namespace {

// Two passes: the mean first, then the variance around it. The one-pass formula mean(x^2) - mean^2
// would lose precision in a row whose mean is large compared with its deviations.
template <typename T>
VILA_ALWAYS_INLINE void forward_row(const T* x, const T* weight, const T* bias, compute_t<T> eps,
                                    int64_t columns, T* y, compute_t<T>* mean_out,
                                    compute_t<T>* inv_std_out) {
    using Compute = compute_t<T>;
    const auto count = static_cast<Compute>(columns);
    const auto mean = vector_sum<Compute>(columns, [=](int64_t c) { return widen(x[c]); }) / count;
    const auto squares = vector_sum<Compute>(
        columns, [=](int64_t c) { return (widen(x[c]) - mean) * (widen(x[c]) - mean); });
    const auto inverse = 1 / std::sqrt(squares / count + eps);
    *mean_out = mean;
    *inv_std_out = inverse;
    for (int64_t c = 0; c < columns; ++c)
        y[c] = T((widen(x[c]) - mean) * inverse * widen(weight[c]) + widen(bias[c]));
}

// With n = (x - mean) * inv_std and g = dy * weight:
// dx = inv_std (g - mean(g) - n mean(g n)), dweight += dy n, dbias += dy.
template <typename T>
VILA_ALWAYS_INLINE void backward_row(const T* x, const T* weight, compute_t<T> mean,
                                     compute_t<T> inv_std, const T* dy, int64_t columns, T* dx,
                                     compute_t<T>* dweight, compute_t<T>* dbias) {
    using Compute = compute_t<T>;
    const auto count = static_cast<Compute>(columns);
    const auto g_mean =
        vector_sum<Compute>(columns, [=](int64_t c) { return widen(dy[c]) * widen(weight[c]); }) /
        count;
    const auto dot_mean = vector_sum<Compute>(columns,
                                              [=](int64_t c) {
                                                  return widen(dy[c]) * widen(weight[c]) *
                                                         ((widen(x[c]) - mean) * inv_std);
                                              }) /
                          count;
    // Two loops, because one loop would use more pointers than the compiler is willing to check for
    // overlap at run time, and would not be vectorized.
    for (int64_t c = 0; c < columns; ++c) {
        dweight[c] += widen(dy[c]) * ((widen(x[c]) - mean) * inv_std);
        dbias[c] += widen(dy[c]);
    }
    for (int64_t c = 0; c < columns; ++c) {
        const auto normalized = (widen(x[c]) - mean) * inv_std;
        dx[c] = T(inv_std * (widen(dy[c]) * widen(weight[c]) - g_mean - normalized * dot_mean));
    }
}

}  // namespace

void layer_norm_forward(const LayerNormForwardArgs& args) {
    for_float("layer_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        const T *weight = args.weight.data<T>(), *bias = args.bias.data<T>();
        T* y = args.y.data<T>();
        auto* mean = args.mean.data<compute_t<T>>();
        auto* inv_std = args.inv_std.data<compute_t<T>>();
        const auto eps = static_cast<compute_t<T>>(args.eps);
        vector_for(cpu(args.y), args.x.size(0), columns / 2, [=](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r)
                forward_row(x + r * columns, weight, bias, eps, columns, y + r * columns, mean + r,
                            inv_std + r);
        });
    });
}

void layer_norm_backward(const LayerNormBackwardArgs& args) {
    for_float("layer_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T *x = args.x.data<T>(), *weight = args.weight.data<T>(), *dy = args.dy.data<T>();
        const Compute *mean = args.mean.data<Compute>(), *inv_std = args.inv_std.data<Compute>();
        T* dx = args.dx.data<T>();
        // One array holds both sums: the gradient of the weight, then that of the bias.
        const Tensor sums = Tensor::zeros(args.x.device(), {2 * columns}, args.mean.dtype());
        sum_rows_in_chunks(args.x.device(), args.x.size(0), 2 * columns, sums.data<Compute>(),
                           [=](int64_t begin, int64_t end, Compute* partial) {
                               for (int64_t r = begin; r < end; ++r)
                                   backward_row(x + r * columns, weight, mean[r], inv_std[r],
                                                dy + r * columns, columns, dx + r * columns,
                                                partial, partial + columns);
                           });
        if (args.dweight.defined())
            add({.a = args.dweight, .b = sums.slice(0, 0, columns), .y = args.dweight});
        if (args.dbias.defined())
            add({.a = args.dbias, .b = sums.slice(0, columns, 2 * columns), .y = args.dbias});
    });
}

}  // namespace vila::cpu_kernels
