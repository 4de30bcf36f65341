// Mean of the rows of each sequence.

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/row_index.h"
#include "tensor/cpu/vector_loops.h"

namespace vila::cpu_kernels {

namespace {

// y (columns) = mean of `rows` rows of x, summed in order.
template <typename T>
VILA_ALWAYS_INLINE void mean_of(const T* x, int64_t rows, int64_t columns, T* y) {
    constexpr int64_t kBlock = 64;  // columns whose sums stay in registers
    const auto count = static_cast<compute_t<T>>(std::max<int64_t>(rows, 1));
    for (int64_t first = 0; first < columns; first += kBlock) {
        const int64_t width = std::min(kBlock, columns - first);
        compute_t<T> sum[kBlock] = {};
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < width; ++c) sum[c] += widen(x[r * columns + first + c]);
        for (int64_t c = 0; c < width; ++c) y[first + c] = T(sum[c] / count);
    }
}

}  // namespace

void mean_rows_forward(const MeanRowsForwardArgs& args) {
    check_cu_seqlens("mean_rows", args.cu_seqlens, args.x.size(0));
    for_float("mean_rows", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.x.size(1), sequences = args.y.size(0);
        const int32_t* cu_seqlens = args.cu_seqlens.data<int32_t>();
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        const int64_t cost = args.x.numel() / std::max<int64_t>(sequences, 1);
        vector_for(cpu(args.y), sequences, cost, [=](int64_t begin, int64_t end) {
            for (int64_t b = begin; b < end; ++b)
                mean_of(x + cu_seqlens[b] * columns, cu_seqlens[b + 1] - cu_seqlens[b], columns,
                        y + b * columns);
        });
    });
}

void mean_rows_backward(const MeanRowsBackwardArgs& args) {
    check_cu_seqlens("mean_rows", args.cu_seqlens, args.dx.size(0));
    fill({.y = args.dx, .value = 0.0});
    for_float("mean_rows", args.dx.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t columns = args.dx.size(1), sequences = args.dy.size(0);
        const int32_t* cu_seqlens = args.cu_seqlens.data<int32_t>();
        const T* dy = args.dy.data<T>();
        T* dx = args.dx.data<T>();
        const int64_t cost = args.dx.numel() / std::max<int64_t>(sequences, 1);
        vector_for(cpu(args.dx), sequences, cost, [=](int64_t begin, int64_t end) {
            for (int64_t b = begin; b < end; ++b) {
                const auto count = static_cast<compute_t<T>>(cu_seqlens[b + 1] - cu_seqlens[b]);
                const T* dy_b = dy + b * columns;
                for (int64_t r = cu_seqlens[b]; r < cu_seqlens[b + 1]; ++r)
                    for (int64_t c = 0; c < columns; ++c)
                        dx[r * columns + c] = T(widen(dy_b[c]) / count);
            }
        });
    });
}

}  // namespace vila::cpu_kernels
