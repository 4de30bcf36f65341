// y[r] = x[index[r]]; an index of -1 gives zeros. One thread per element.

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/row_exists.h"

namespace vila::cuda {

namespace {

template <typename T>
struct GatherRows {
    const T* x;
    const int32_t* index;
    T* y;
    int64_t rows, columns;
    Faults* faults;

    __device__ void operator()(int64_t i) const {
        const int64_t r = i / columns, c = i % columns;
        const bool exists =
            row_exists(faults, FaultKind::GatherRows, r, index[r], -1, rows) && index[r] >= 0;
        y[i] = exists ? x[index[r] * columns + c] : narrow<T>(compute_t<T>(0));
    }
};

}  // namespace

void gather_rows(const GatherRowsArgs& args) {
    for_float("gather_rows", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        CudaDevice& device = device_of(args.y);
        for_elements(device, args.y.numel(),
                     GatherRows<T>{args.x.data<T>(), args.index.data<int32_t>(), args.y.data<T>(),
                                   args.x.size(0), args.x.size(1), device.faults()});
    });
}

}  // namespace vila::cuda
