// Mean of the rows of each sequence.

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_index.h"

namespace vila::cpu_kernels {

void mean_rows_forward(const MeanRowsForwardArgs& args) {
    check_starts("mean_rows", args.starts, args.x.size(0));
    for_float("mean_rows", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.x.size(1);
        const int32_t* starts = args.starts.data<int32_t>();
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        for (int64_t b = 0; b < args.y.size(0); ++b) {
            const int64_t count = starts[b + 1] - starts[b];
            for (int64_t c = 0; c < columns; ++c) {
                compute_t<T> sum = 0;
                for (int64_t r = starts[b]; r < starts[b + 1]; ++r)
                    sum += static_cast<compute_t<T>>(x[r * columns + c]);
                y[b * columns + c] =
                    T(count == 0 ? compute_t<T>(0) : sum / static_cast<compute_t<T>>(count));
            }
        }
    });
}

void mean_rows_backward(const MeanRowsBackwardArgs& args) {
    check_starts("mean_rows", args.starts, args.dx.size(0));
    for_float("mean_rows", args.dx.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.dx.size(1);
        const int32_t* starts = args.starts.data<int32_t>();
        const T* dy = args.dy.data<T>();
        T* dx = args.dx.data<T>();
        fill({.y = args.dx, .value = 0.0});
        for (int64_t b = 0; b < args.dy.size(0); ++b) {
            const auto count = static_cast<compute_t<T>>(starts[b + 1] - starts[b]);
            for (int64_t r = starts[b]; r < starts[b + 1]; ++r)
                for (int64_t c = 0; c < columns; ++c)
                    dx[r * columns + c] = T(static_cast<compute_t<T>>(dy[b * columns + c]) / count);
        }
    });
}

}  // namespace vila::cpu_kernels
