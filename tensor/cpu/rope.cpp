// Rotary position embedding (Su et al. 2021, RoFormer): each pair (x[j], x[j + D/2]) of a head is
// rotated by the angle of the position of its row; a table has the cosines and sines.

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/row_index.h"
#include "tensor/cpu/simd.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

namespace {

// Rotates one head. Reads both halves before it writes either, so y may be x.
template <typename T, typename C>
VILA_ALWAYS_INLINE void rotate_head(const T* x, const C* cos, const C* sin, C sign, int64_t half,
                                    T* y) {
#pragma omp simd
    for (int64_t j = 0; j < half; ++j) {
        const C low = static_cast<C>(x[j]), high = static_cast<C>(x[j + half]);
        const C c = cos[j], s = sign * sin[j];
        y[j] = T(low * c - high * s);
        y[j + half] = T(high * c + low * s);
    }
}

}  // namespace

void rope(const RopeArgs& args) {
    const Tensor &x = args.x, &y = args.y;
    const int64_t rows = x.size(0), heads = x.size(1), half = x.size(2) / 2;
    check_row_index("rope", args.positions, 0, args.cos.size(0));
    if (x.numel() == 0) return;
    for_float("rope", x.dtype(), [&](auto element) {
        using T = decltype(element);
        using C = compute_t<T>;
        const T* x_data = x.data<T>();
        T* y_data = y.data<T>();
        const C* cos = args.cos.data<C>();
        const C* sin = args.sin.data<C>();
        const int32_t* positions = args.positions.data<int32_t>();
        const C sign = args.inverse ? C(-1) : C(1);
        const int64_t x_row = x.strides()[0], x_head = x.strides()[1];
        const int64_t y_row = y.strides()[0], y_head = y.strides()[1];
        parallel_for(cpu(x), rows, heads * half * 2, [&](int64_t begin, int64_t end) {
            with_isa(cpu(x).isa(), [&] {
                for (int64_t r = begin; r < end; ++r) {
                    const int64_t table = positions[r] * half;
                    for (int64_t h = 0; h < heads; ++h)
                        rotate_head(x_data + r * x_row + h * x_head, cos + table, sin + table, sign,
                                    half, y_data + r * y_row + h * y_head);
                }
            });
        });
    });
}

}  // namespace vila::cpu_kernels
