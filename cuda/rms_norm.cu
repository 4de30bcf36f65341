// Root mean square normalization (Zhang and Sennrich 2019): y = x * inv_rms * weight.
// One warp per row, which reads its row twice, the second time from cache. dweight is a sum over
// rows (sums.h).

#include "cuda/kernels.h"
#include "cuda/math.h"
#include "cuda/sums.h"

namespace vila::cuda {

namespace {

template <typename T>
struct RmsNormForward {
    using Compute = compute_t<T>;
    const T *x, *weight;
    T* y;
    Compute* inv_rms;
    int64_t columns;
    Compute eps;

    __device__ void operator()(int64_t r, int lane) const {
        const T* x_r = x + r * columns;
        const Compute squares = row_sum<Compute>(
            columns, lane, [x_r](int64_t c) { return widen(x_r[c]) * widen(x_r[c]); });
        const Compute inverse = 1 / math::sqrt(squares / static_cast<Compute>(columns) + eps);
        for (int64_t c = lane; c < columns; c += kWarp)
            y[r * columns + c] = narrow<T>(widen(x_r[c]) * inverse * widen(weight[c]));
        if (lane == 0) inv_rms[r] = inverse;
    }
};

// With n = x * inv_rms and g = dy * weight: dx = inv_rms (g - n mean(g n)).
template <typename T>
struct RmsNormBackward {
    using Compute = compute_t<T>;
    const T *x, *weight, *dy;
    const Compute* inv_rms;
    T* dx;
    int64_t columns;

    __device__ void operator()(int64_t r, int lane) const {
        const T *x_r = x + r * columns, *dy_r = dy + r * columns, *w = weight;
        const Compute inverse = inv_rms[r];
        const Compute dot = row_sum<Compute>(columns, lane, [=](int64_t c) {
            return widen(dy_r[c]) * widen(w[c]) * (widen(x_r[c]) * inverse);
        });
        const Compute mean = dot / static_cast<Compute>(columns);
        for (int64_t c = lane; c < columns; c += kWarp)
            dx[r * columns + c] = narrow<T>(
                inverse * (widen(dy_r[c]) * widen(w[c]) - widen(x_r[c]) * inverse * mean));
    }
};

template <typename T>
struct RmsNormWeightTerm {
    using Compute = compute_t<T>;
    const T *x, *dy;
    const Compute* inv_rms;
    int64_t columns;

    __device__ Compute operator()(int64_t c, int64_t r) const {
        return widen(dy[r * columns + c]) * (widen(x[r * columns + c]) * inv_rms[r]);
    }
};

}  // namespace

void rms_norm_forward(const RmsNormForwardArgs& args) {
    for_float("rms_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        for_rows(device_of(args.y), args.x.size(0),
                 RmsNormForward<T>{args.x.data<T>(), args.weight.data<T>(), args.y.data<T>(),
                                   args.inv_rms.data<Compute>(), args.x.size(1),
                                   static_cast<Compute>(args.eps)});
    });
}

void rms_norm_backward(const RmsNormBackwardArgs& args) {
    for_float("rms_norm", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        CudaDevice& device = device_of(args.x);
        const int64_t rows = args.x.size(0), columns = args.x.size(1);
        const T *x = args.x.data<T>(), *dy = args.dy.data<T>();
        const Compute* inv_rms = args.inv_rms.data<Compute>();
        for_rows(
            device, rows,
            RmsNormBackward<T>{x, args.weight.data<T>(), dy, inv_rms, args.dx.data<T>(), columns});
        if (args.dweight.defined())
            sum_terms<Neighbors::Outputs, Compute>(device, columns, rows,
                                                   RmsNormWeightTerm<T>{x, dy, inv_rms, columns},
                                                   AddTo<Compute>{args.dweight.data<Compute>()});
    });
}

}  // namespace vila::cuda
