// Scales rows to unit length: y = x / max(|x|, eps).

#include <algorithm>
#include <cmath>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"

namespace vila::cpu_kernels {

namespace {

template <typename T>
VILA_ALWAYS_INLINE void forward_row(const T* x, compute_t<T> eps, int64_t columns, T* y,
                                    compute_t<T>* norm_out) {
    const auto squares =
        vector_sum<compute_t<T>>(columns, [=](int64_t c) { return widen(x[c]) * widen(x[c]); });
    const auto norm = std::max(std::sqrt(squares), eps);
    *norm_out = norm;
    for (int64_t c = 0; c < columns; ++c) y[c] = T(widen(x[c]) / norm);
}

// dx = (dy - y <y, dy>) / norm; the middle term is absent where the norm was clamped.
template <typename T>
VILA_ALWAYS_INLINE void backward_row(const T* y, compute_t<T> norm, const T* dy, bool clamped,
                                     int64_t columns, T* dx) {
    const auto dot = clamped ? 0 : vector_sum<compute_t<T>>(columns, [=](int64_t c) {
        return widen(y[c]) * widen(dy[c]);
    });
    for (int64_t c = 0; c < columns; ++c) dx[c] = T((widen(dy[c]) - widen(y[c]) * dot) / norm);
}

}  // namespace

void l2_normalize_forward(const L2NormalizeForwardArgs& args) {
    for_float("l2_normalize", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        auto* norm = args.norm.data<compute_t<T>>();
        const auto eps = static_cast<compute_t<T>>(args.eps);
        vector_for(cpu(args.y), args.x.size(0), columns / 2, [=](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r)
                forward_row(x + r * columns, eps, columns, y + r * columns, norm + r);
        });
    });
}

void l2_normalize_backward(const L2NormalizeBackwardArgs& args) {
    for_float("l2_normalize", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.y.size(1);
        const T *y = args.y.data<T>(), *dy = args.dy.data<T>();
        const auto* norm = args.norm.data<compute_t<T>>();
        T* dx = args.dx.data<T>();
        const auto eps = static_cast<compute_t<T>>(args.eps);
        vector_for(cpu(args.dx), args.y.size(0), columns / 2, [=](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r)
                backward_row(y + r * columns, norm[r], dy + r * columns, norm[r] <= eps, columns,
                             dx + r * columns);
        });
    });
}

}  // namespace vila::cpu_kernels
