#pragma once

// The loop of add and mul: y = op(a, b) with broadcasting. Along the innermost axis each operand
// has a stride of 0 or 1; each of the four combinations has a vectorized loop.

#include "tensor/cpu/broadcast.h"
#include "tensor/cpu/vector_loops.h"
#include "tensor/kernels.h"

namespace vila::cpu_kernels {

// y[i] = op(a[i * a_stride], b[i * b_stride]) with strides of 0 or 1.
template <typename T, typename Op>
VILA_ALWAYS_INLINE void binary_run(const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* y,
                                   int64_t count, const Op& op) {
    if (a_stride && b_stride) {
        for (int64_t i = 0; i < count; ++i) y[i] = T(op(widen(a[i]), widen(b[i])));
    } else if (a_stride) {
        const auto b_0 = widen(b[0]);
        for (int64_t i = 0; i < count; ++i) y[i] = T(op(widen(a[i]), b_0));
    } else if (b_stride) {
        const auto a_0 = widen(a[0]);
        for (int64_t i = 0; i < count; ++i) y[i] = T(op(a_0, widen(b[i])));
    } else {
        const auto value = T(op(widen(a[0]), widen(b[0])));
        for (int64_t i = 0; i < count; ++i) y[i] = value;
    }
}

template <typename Op>
void binary(const char* name, const BinaryArgs& args, const Op& op) {
    if (args.y.numel() == 0) return;
    const auto plan = plan_broadcast<2>(args.y.shape(), {&args.a.shape(), &args.b.shape()});
    const int64_t a_stride = plan.stride[0][0], b_stride = plan.stride[0][1], inner = plan.inner();
    for_float(name, args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T *a = args.a.data<T>(), *b = args.b.data<T>();
        T* y = args.y.data<T>();
        if (plan.outer() == 1) {
            vector_for_elements(cpu(args.y), inner, 1, [=](int64_t begin, int64_t end) {
                binary_run(a + begin * a_stride, a_stride, b + begin * b_stride, b_stride,
                           y + begin, end - begin, op);
            });
            return;
        }
        vector_for(cpu(args.y), plan.outer(), inner, [=, &plan](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
                const auto at = plan.offsets(row);
                binary_run(a + at[0], a_stride, b + at[1], b_stride, y + row * inner, inner, op);
            }
        });
    });
}

}  // namespace vila::cpu_kernels
