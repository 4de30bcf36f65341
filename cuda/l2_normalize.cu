// Scales rows to unit length. One warp per row, which reads its row twice, the second time from
// cache.

#include "cuda/kernels.h"
#include "cuda/math.h"
#include "cuda/rows.h"

namespace vila::cuda {

namespace {

template <typename T>
struct L2NormalizeForward {
    using Compute = compute_t<T>;
    const T* x;
    T* y;
    Compute* norm;
    int64_t columns;
    Compute eps;

    __device__ void operator()(int64_t r, int lane) const {
        const T* x_r = x + r * columns;
        const Compute length = math::sqrt(row_sum<Compute>(
            columns, lane, [x_r](int64_t c) { return widen(x_r[c]) * widen(x_r[c]); }));
        const Compute divisor = length < eps ? eps : length;
        for (int64_t c = lane; c < columns; c += kWarp)
            y[r * columns + c] = narrow<T>(widen(x_r[c]) / divisor);
        if (lane == 0) norm[r] = divisor;
    }
};

// dx = (dy - y <y, dy>) / norm; without the second term where the norm was clamped to eps.
template <typename T>
struct L2NormalizeBackward {
    using Compute = compute_t<T>;
    const T *y, *dy;
    const Compute* norm;
    T* dx;
    int64_t columns;
    Compute eps;

    __device__ void operator()(int64_t r, int lane) const {
        const T *y_r = y + r * columns, *dy_r = dy + r * columns;
        const Compute product = row_sum<Compute>(
            columns, lane, [y_r, dy_r](int64_t c) { return widen(y_r[c]) * widen(dy_r[c]); });
        const Compute dot = norm[r] <= eps ? 0 : product;
        for (int64_t c = lane; c < columns; c += kWarp)
            dx[r * columns + c] = narrow<T>((widen(dy_r[c]) - widen(y_r[c]) * dot) / norm[r]);
    }
};

}  // namespace

void l2_normalize_forward(const L2NormalizeForwardArgs& args) {
    for_float("l2_normalize", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        for_rows(
            device_of(args.y), args.x.size(0),
            L2NormalizeForward<T>{args.x.data<T>(), args.y.data<T>(), args.norm.data<Compute>(),
                                  args.x.size(1), static_cast<Compute>(args.eps)});
    });
}

void l2_normalize_backward(const L2NormalizeBackwardArgs& args) {
    for_float("l2_normalize", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        for_rows(device_of(args.dx), args.y.size(0),
                 L2NormalizeBackward<T>{args.y.data<T>(), args.dy.data<T>(),
                                        args.norm.data<Compute>(), args.dx.data<T>(),
                                        args.y.size(1), static_cast<Compute>(args.eps)});
    });
}

}  // namespace vila::cuda
