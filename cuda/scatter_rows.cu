// y[index[r]] = x[r], or zeros without x. One thread per element of the rows that are written.

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/row_exists.h"

namespace vila::cuda {

namespace {

template <typename T>
struct ScatterRows {
    const T* x;  // or nullptr: writes zeros
    const int32_t* index;
    T* y;
    int64_t rows, columns;
    Faults* faults;

    __device__ void operator()(int64_t i) const {
        const int64_t r = i / columns, c = i % columns;
        if (!row_exists(faults, FaultKind::ScatterRows, r, index[r], 0, rows)) return;
        y[index[r] * columns + c] = x == nullptr ? narrow<T>(compute_t<T>(0)) : x[i];
    }
};

}  // namespace

void scatter_rows(const ScatterRowsArgs& args) {
    for_float("scatter_rows", args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        CudaDevice& device = device_of(args.y);
        const T* x = args.x.defined() ? args.x.data<T>() : nullptr;
        for_elements(device, args.index.numel() * args.y.size(1),
                     ScatterRows<T>{x, args.index.data<int32_t>(), args.y.data<T>(), args.y.size(0),
                                    args.y.size(1), device.faults()});
    });
}

}  // namespace vila::cuda
