#pragma once

// The loop that add and mul share: y = op(a, b) with broadcasting, vectorised along the innermost
// run for each of its four stride patterns.

#include "tensor/cpu/broadcast.h"
#include "tensor/cpu/vector_loops.h"
#include "tensor/kernels.h"

namespace vila::cpu_kernels {

// y[i] = op(a[i * a_step], b[i * b_step]) with steps of 0 or 1.
template <typename T, typename Op>
VILA_ALWAYS_INLINE void binary_run(const T* a, int64_t a_step, const T* b, int64_t b_step, T* y,
                                   int64_t count, const Op& op) {
    if (a_step && b_step) {
        for (int64_t i = 0; i < count; ++i) y[i] = T(op(widen(a[i]), widen(b[i])));
    } else if (a_step) {
        const auto b_0 = widen(b[0]);
        for (int64_t i = 0; i < count; ++i) y[i] = T(op(widen(a[i]), b_0));
    } else if (b_step) {
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
    const int64_t a_step = plan.stride[0][0], b_step = plan.stride[0][1], inner = plan.inner();
    for_float(name, args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T *a = args.a.data<T>(), *b = args.b.data<T>();
        T* y = args.y.data<T>();
        if (plan.outer() == 1) {
            vector_for_elements(cpu(args.y), inner, 1, [=](int64_t begin, int64_t end) {
                binary_run(a + begin * a_step, a_step, b + begin * b_step, b_step, y + begin,
                           end - begin, op);
            });
            return;
        }
        vector_for(cpu(args.y), plan.outer(), inner, [=, &plan](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
                const auto at = plan.offsets(row);
                binary_run(a + at[0], a_step, b + at[1], b_step, y + row * inner, inner, op);
            }
        });
    });
}

}  // namespace vila::cpu_kernels
