// Layer normalization (Ba et al. 2016): y = (x - mean) * inv_std * weight + bias.
// One warp per row, which reads its row three times, twice from cache. The variance is computed
// around the mean: mean(x^2) - mean^2 would save a pass, but lose precision in a row whose mean is
// large compared with its deviations. dweight and dbias are sums over rows (sums.h).

#include "cuda/kernels.h"
#include "cuda/math.h"
#include "cuda/sums.h"

namespace vila::cuda {

namespace {

template <typename T>
struct LayerNormForward {
    using Compute = compute_t<T>;
    const T *x, *weight, *bias;
    T* y;
    Compute *mean, *inv_std;
    int64_t columns;
    Compute eps;

    __device__ void operator()(int64_t r, int lane) const {
        const T* x_r = x + r * columns;
        const auto count = static_cast<Compute>(columns);
        const Compute center =
            row_sum<Compute>(columns, lane, [x_r](int64_t c) { return widen(x_r[c]); }) / count;
        const Compute squares = row_sum<Compute>(columns, lane, [x_r, center](int64_t c) {
            return (widen(x_r[c]) - center) * (widen(x_r[c]) - center);
        });
        const Compute inverse = 1 / math::sqrt(squares / count + eps);
        for (int64_t c = lane; c < columns; c += kWarp)
            y[r * columns + c] =
                narrow<T>((widen(x_r[c]) - center) * inverse * widen(weight[c]) + widen(bias[c]));
        if (lane == 0) {
            mean[r] = center;
            inv_std[r] = inverse;
        }
    }
};

// With n = (x - mean) * inv_std and g = dy * weight: dx = inv_std (g - mean(g) - n mean(g n)).
template <typename T>
struct LayerNormBackward {
    using Compute = compute_t<T>;
    const T *x, *weight, *dy;
    const Compute *mean, *inv_std;
    T* dx;
    int64_t columns;

    __device__ void operator()(int64_t r, int lane) const {
        const T *x_r = x + r * columns, *dy_r = dy + r * columns, *w = weight;
        const Compute center = mean[r], inverse = inv_std[r];
        const auto count = static_cast<Compute>(columns);
        const Compute g_mean =
            row_sum<Compute>(columns, lane,
                             [=](int64_t c) { return widen(dy_r[c]) * widen(w[c]); }) /
            count;
        const Compute dot_mean = row_sum<Compute>(columns, lane,
                                                  [=](int64_t c) {
                                                      return widen(dy_r[c]) * widen(w[c]) *
                                                             ((widen(x_r[c]) - center) * inverse);
                                                  }) /
                                 count;
        for (int64_t c = lane; c < columns; c += kWarp) {
            const Compute normalized = (widen(x_r[c]) - center) * inverse;
            dx[r * columns + c] = narrow<T>(
                inverse * (widen(dy_r[c]) * widen(w[c]) - g_mean - normalized * dot_mean));
        }
    }
};

template <typename T>
struct LayerNormWeightTerm {
    using Compute = compute_t<T>;
    const T *x, *dy;
    const Compute *mean, *inv_std;
    int64_t columns;

    __device__ Compute operator()(int64_t c, int64_t r) const {
        const int64_t i = r * columns + c;
        return widen(dy[i]) * ((widen(x[i]) - mean[r]) * inv_std[r]);
    }
};

template <typename T>
struct LayerNormBiasTerm {
    const T* dy;
    int64_t columns;

    __device__ compute_t<T> operator()(int64_t c, int64_t r) const {
        return widen(dy[r * columns + c]);
    }
};

}  // namespace

void layer_norm_forward(const LayerNormForwardArgs& args) {
    for_float("layer_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        for_rows(device_of(args.y), args.x.size(0),
                 LayerNormForward<T>{args.x.data<T>(), args.weight.data<T>(), args.bias.data<T>(),
                                     args.y.data<T>(), args.mean.data<Compute>(),
                                     args.inv_std.data<Compute>(), args.x.size(1),
                                     static_cast<Compute>(args.eps)});
    });
}

void layer_norm_backward(const LayerNormBackwardArgs& args) {
    for_float("layer_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        CudaDevice& device = device_of(args.x);
        const int64_t rows = args.x.size(0), columns = args.x.size(1);
        const T *x = args.x.data<T>(), *dy = args.dy.data<T>();
        const Compute *mean = args.mean.data<Compute>(), *inv_std = args.inv_std.data<Compute>();
        for_rows(device, rows,
                 LayerNormBackward<T>{x, args.weight.data<T>(), dy, mean, inv_std,
                                      args.dx.data<T>(), columns});
        if (args.dweight.defined())
            sum_terms<Neighbors::Outputs, Compute>(
                device, columns, rows, LayerNormWeightTerm<T>{x, dy, mean, inv_std, columns},
                AddTo<Compute>{args.dweight.data<Compute>()});
        if (args.dbias.defined())
            sum_terms<Neighbors::Outputs, Compute>(device, columns, rows,
                                                   LayerNormBiasTerm<T>{dy, columns},
                                                   AddTo<Compute>{args.dbias.data<Compute>()});
    });
}

}  // namespace vila::cuda
