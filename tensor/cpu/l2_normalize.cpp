// Rows scaled to unit length.

#include <algorithm>
#include <cmath>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

void l2_normalize_forward(const L2NormalizeForwardArgs& args) {
    for_float("l2_normalize", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        Compute* norm = args.norm.data<Compute>();
        const auto eps = static_cast<Compute>(args.eps);
        parallel_for(cpu(args.y), args.x.size(0), columns, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const T* x_r = x + r * columns;
                Compute squares = 0;
                for (int64_t c = 0; c < columns; ++c)
                    squares += static_cast<Compute>(x_r[c]) * static_cast<Compute>(x_r[c]);
                norm[r] = std::max(std::sqrt(squares), eps);
                for (int64_t c = 0; c < columns; ++c)
                    y[r * columns + c] = T(static_cast<Compute>(x_r[c]) / norm[r]);
            }
        });
    });
}

void l2_normalize_backward(const L2NormalizeBackwardArgs& args) {
    for_float("l2_normalize", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.y.size(1);
        const T* y = args.y.data<T>();
        const T* dy = args.dy.data<T>();
        const Compute* norm = args.norm.data<Compute>();
        T* dx = args.dx.data<T>();
        const auto eps = static_cast<Compute>(args.eps);
        parallel_for(cpu(args.y), args.y.size(0), columns, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const T* y_r = y + r * columns;
                const T* dy_r = dy + r * columns;
                const bool clamped = norm[r] <= eps;
                Compute dot = 0;
                for (int64_t c = 0; c < columns && !clamped; ++c)
                    dot += static_cast<Compute>(y_r[c]) * static_cast<Compute>(dy_r[c]);
                for (int64_t c = 0; c < columns; ++c)
                    dx[r * columns + c] =
                        T((static_cast<Compute>(dy_r[c]) - static_cast<Compute>(y_r[c]) * dot) /
                          norm[r]);
            }
        });
    });
}

}  // namespace vila::cpu_kernels
