// Softmax along rows.

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

void softmax_forward(const SoftmaxForwardArgs& args) {
    for_float("softmax", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        parallel_for(cpu(args.y), args.x.size(0), 8 * columns, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const T* x_r = x + r * columns;
                Compute largest = -std::numeric_limits<Compute>::infinity();
                for (int64_t c = 0; c < columns; ++c)
                    largest = std::max(largest, static_cast<Compute>(x_r[c]));
                Compute sum = 0;
                for (int64_t c = 0; c < columns; ++c)
                    sum += std::exp(static_cast<Compute>(x_r[c]) - largest);
                for (int64_t c = 0; c < columns; ++c)
                    y[r * columns + c] = T(std::exp(static_cast<Compute>(x_r[c]) - largest) / sum);
            }
        });
    });
}

void softmax_backward(const SoftmaxBackwardArgs& args) {
    for_float("softmax", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        const int64_t columns = args.y.size(1);
        const T* y = args.y.data<T>();
        const T* dy = args.dy.data<T>();
        T* dx = args.dx.data<T>();
        parallel_for(cpu(args.y), args.y.size(0), columns, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const T* y_r = y + r * columns;
                const T* dy_r = dy + r * columns;
                Compute dot = 0;
                for (int64_t c = 0; c < columns; ++c)
                    dot += static_cast<Compute>(y_r[c]) * static_cast<Compute>(dy_r[c]);
                for (int64_t c = 0; c < columns; ++c)
                    dx[r * columns + c] =
                        T(static_cast<Compute>(y_r[c]) * (static_cast<Compute>(dy_r[c]) - dot));
            }
        });
    });
}

}  // namespace vila::cpu_kernels
