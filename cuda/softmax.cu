// Softmax along rows. One warp per row, which reads its row three times, twice from cache.

#include "cuda/kernels.h"
#include "cuda/math.h"
#include "cuda/rows.h"

namespace vila::cuda {

namespace {

template <typename T>
struct SoftmaxForward {
    using Compute = compute_t<T>;
    const T* x;
    T* y;
    int64_t columns;

    __device__ void operator()(int64_t r, int lane) const {
        const T* x_r = x + r * columns;
        Compute largest = -static_cast<Compute>(INFINITY);
        for (int64_t c = lane; c < columns; c += kWarp) {
            const Compute value = widen(x_r[c]);
            largest = value > largest ? value : largest;
        }
        largest = warp_max(largest);
        const Compute sum = row_sum<Compute>(columns, lane, [x_r, largest](int64_t c) {
            return math::exp(widen(x_r[c]) - largest);
        });
        for (int64_t c = lane; c < columns; c += kWarp)
            y[r * columns + c] = narrow<T>(math::exp(widen(x_r[c]) - largest) / sum);
    }
};

// dx = y (dy - <y, dy>).
template <typename T>
struct SoftmaxBackward {
    using Compute = compute_t<T>;
    const T *y, *dy;
    T* dx;
    int64_t columns;

    __device__ void operator()(int64_t r, int lane) const {
        const T *y_r = y + r * columns, *dy_r = dy + r * columns;
        const Compute dot = row_sum<Compute>(
            columns, lane, [y_r, dy_r](int64_t c) { return widen(y_r[c]) * widen(dy_r[c]); });
        for (int64_t c = lane; c < columns; c += kWarp)
            dx[r * columns + c] = narrow<T>(widen(y_r[c]) * (widen(dy_r[c]) - dot));
    }
};

}  // namespace

void softmax_forward(const SoftmaxForwardArgs& args) {
    for_float("softmax", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_rows(device_of(args.y), args.x.size(0),
                 SoftmaxForward<T>{args.x.data<T>(), args.y.data<T>(), args.x.size(1)});
    });
}

void softmax_backward(const SoftmaxBackwardArgs& args) {
    for_float("softmax", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_rows(device_of(args.dx), args.y.size(0),
                 SoftmaxBackward<T>{args.y.data<T>(), args.dy.data<T>(), args.dx.data<T>(),
                                    args.y.size(1)});
    });
}

}  // namespace vila::cuda
