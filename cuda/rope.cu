// Rotary position embedding (Su et al. 2021): rotates each pair (x[j], x[j + D/2]) of a head by an
// angle that depends on the row's position. One thread per pair, which reads both elements before
// it writes either, so y may be x.

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/row_exists.h"

namespace vila::cuda {

namespace {

template <typename T>
struct Rope {
    using Compute = compute_t<T>;
    const T* x;
    T* y;
    const int32_t* positions;
    const Compute *cos, *sin;
    int64_t heads, half, x_row_stride, x_head_stride, y_row_stride, y_head_stride, table_rows;
    Compute sign;
    Faults* faults;

    __device__ void operator()(int64_t i) const {
        const int64_t j = i % half, h = i / half % heads, r = i / half / heads;
        if (!row_exists(faults, FaultKind::Rope, r, positions[r], 0, table_rows)) return;
        const T* x_j = x + r * x_row_stride + h * x_head_stride + j;
        T* y_j = y + r * y_row_stride + h * y_head_stride + j;
        const Compute low = widen(x_j[0]), high = widen(x_j[half]);
        const Compute c = cos[positions[r] * half + j], s = sign * sin[positions[r] * half + j];
        y_j[0] = narrow<T>(low * c - high * s);
        y_j[half] = narrow<T>(high * c + low * s);
    }
};

}  // namespace

void rope(const RopeArgs& args) {
    const Tensor &x = args.x, &y = args.y;
    for_float("rope", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        using Compute = compute_t<T>;
        CudaDevice& device = device_of(y);
        const Rope<T> op = {.x = x.data<T>(),
                            .y = y.data<T>(),
                            .positions = args.positions.data<int32_t>(),
                            .cos = args.cos.data<Compute>(),
                            .sin = args.sin.data<Compute>(),
                            .heads = x.size(1),
                            .half = x.size(2) / 2,
                            .x_row_stride = x.strides()[0],
                            .x_head_stride = x.strides()[1],
                            .y_row_stride = y.strides()[0],
                            .y_head_stride = y.strides()[1],
                            .table_rows = args.cos.size(0),
                            .sign = args.inverse ? Compute(-1) : Compute(1),
                            .faults = device.faults()};
        for_elements(device, x.numel() / 2, op);
    });
}

}  // namespace vila::cuda
