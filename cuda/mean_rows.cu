// Mean of the rows of each sequence. Forward: one thread per element of the mean adds the rows in
// order. Backward: one thread per element of dx searches for the sequence of its row.

#include "cuda/cu_seqlens.h"
#include "cuda/kernels.h"

namespace vila::cuda {

namespace {

template <typename T>
struct MeanRowsForward {
    using Compute = compute_t<T>;
    const T* x;
    const int32_t* cu_seqlens;
    T* y;
    int64_t rows, columns;

    __device__ void operator()(int64_t i) const {
        const int64_t b = i / columns, c = i % columns;
        const int64_t begin = clamp_row(cu_seqlens[b], rows),
                      end = clamp_row(cu_seqlens[b + 1], rows);
        Compute sum = 0;
        for (int64_t r = begin; r < end; ++r) sum += widen(x[r * columns + c]);
        y[i] = narrow<T>(sum / static_cast<Compute>(end > begin ? end - begin : 1));
    }
};

template <typename T>
struct MeanRowsBackward {
    using Compute = compute_t<T>;
    const T* dy;
    const int32_t* cu_seqlens;
    T* dx;
    int64_t sequences, columns;

    __device__ void operator()(int64_t i) const {
        const int64_t r = i / columns, c = i % columns;
        Compute gradient = 0;
        for (int64_t b = 0; b < sequences; ++b)
            if (cu_seqlens[b] <= r && r < cu_seqlens[b + 1])
                gradient = widen(dy[b * columns + c]) /
                           static_cast<Compute>(cu_seqlens[b + 1] - cu_seqlens[b]);
        dx[i] = narrow<T>(gradient);
    }
};

}  // namespace

void mean_rows_forward(const MeanRowsForwardArgs& args) {
    CudaDevice& device = device_of(args.y);
    const int64_t rows = args.x.size(0), columns = args.x.size(1);
    check_cu_seqlens(device, args.cu_seqlens, rows, FaultKind::MeanRowsEnds,
                     FaultKind::MeanRowsOrder);
    for_float("mean_rows", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_elements(device, args.y.numel(),
                     MeanRowsForward<T>{args.x.data<T>(), args.cu_seqlens.data<int32_t>(),
                                        args.y.data<T>(), rows, columns});
    });
}

void mean_rows_backward(const MeanRowsBackwardArgs& args) {
    CudaDevice& device = device_of(args.dx);
    check_cu_seqlens(device, args.cu_seqlens, args.dx.size(0), FaultKind::MeanRowsEnds,
                     FaultKind::MeanRowsOrder);
    for_float("mean_rows", args.dx.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_elements(device, args.dx.numel(),
                     MeanRowsBackward<T>{args.dy.data<T>(), args.cu_seqlens.data<int32_t>(),
                                         args.dx.data<T>(), args.dy.size(0), args.dx.size(1)});
    });
}

}  // namespace vila::cuda
