// Softmax along rows.

#include <limits>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"
#include "tensor/cpu/vector_math.h"

namespace vila::cpu_kernels {

namespace {

template <typename T>
VILA_ALWAYS_INLINE void forward_row(const T* x, int64_t columns, T* y) {
    using Compute = compute_t<T>;
    Compute largest = -std::numeric_limits<Compute>::infinity();
#pragma omp simd reduction(max : largest)
    for (int64_t c = 0; c < columns; ++c) {
        const Compute value = widen(x[c]);
        largest = value > largest ? value : largest;
    }
    const auto sum = vector_sum<Compute>(
        columns, [=](int64_t c) { return vector_math::exp(widen(x[c]) - largest); });
    for (int64_t c = 0; c < columns; ++c) y[c] = T(vector_math::exp(widen(x[c]) - largest) / sum);
}

template <typename T>
VILA_ALWAYS_INLINE void backward_row(const T* y, const T* dy, int64_t columns, T* dx) {
    const auto dot =
        vector_sum<compute_t<T>>(columns, [=](int64_t c) { return widen(y[c]) * widen(dy[c]); });
    for (int64_t c = 0; c < columns; ++c) dx[c] = T(widen(y[c]) * (widen(dy[c]) - dot));
}

}  // namespace

void softmax_forward(const SoftmaxForwardArgs& args) {
    for_float("softmax", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.x.size(1);
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        vector_for(cpu(args.y), args.x.size(0), 2 * columns, [=](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r)
                forward_row(x + r * columns, columns, y + r * columns);
        });
    });
}

void softmax_backward(const SoftmaxBackwardArgs& args) {
    for_float("softmax", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.y.size(1);
        const T *y = args.y.data<T>(), *dy = args.dy.data<T>();
        T* dx = args.dx.data<T>();
        vector_for(cpu(args.dx), args.y.size(0), columns / 2, [=](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r)
                backward_row(y + r * columns, dy + r * columns, columns, dx + r * columns);
        });
    });
}

}  // namespace vila::cpu_kernels
