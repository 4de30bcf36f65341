#pragma once

// The loop that add and mul share: y = op(a, b) with broadcasting, vectorised along the innermost
// run for each of its four stride patterns.

#include "tensor/cpu/broadcast.h"
#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/parallel.h"
#include "tensor/kernels.h"

namespace vila::cpu_kernels {

// y[i] = op(a[i * kA], b[i * kB])
template <int kA, int kB, typename T, typename Op>
void binary_run(const T* a, const T* b, T* y, int64_t count, const Op& op) {
    using Compute = compute_t<T>;
    for (int64_t i = 0; i < count; ++i)
        y[i] = T(op(static_cast<Compute>(a[i * kA]), static_cast<Compute>(b[i * kB])));
}

template <typename Op>
void binary(const char* name, const BinaryArgs& args, const Op& op) {
    if (args.y.numel() == 0) return;
    const auto plan = plan_broadcast<2>(args.y.shape(), {&args.a.shape(), &args.b.shape()});
    const auto [a_step, b_step] = plan.stride[0];
    for_float(name, args.y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* a = args.a.data<T>();
        const T* b = args.b.data<T>();
        T* y = args.y.data<T>();
        const auto run = [&, a_step = a_step, b_step = b_step](const T* a_run, const T* b_run,
                                                               T* y_run, int64_t count) {
            if (a_step && b_step) return binary_run<1, 1>(a_run, b_run, y_run, count, op);
            if (a_step) return binary_run<1, 0>(a_run, b_run, y_run, count, op);
            if (b_step) return binary_run<0, 1>(a_run, b_run, y_run, count, op);
            binary_run<0, 0>(a_run, b_run, y_run, count, op);
        };
        if (plan.outer() == 1) {
            parallel_for(cpu(args.y), plan.inner(), 1, [&](int64_t begin, int64_t end) {
                run(a + begin * plan.stride[0][0], b + begin * plan.stride[0][1], y + begin,
                    end - begin);
            });
            return;
        }
        parallel_for(cpu(args.y), plan.outer(), plan.inner(), [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
                const auto at = plan.offsets(row);
                run(a + at[0], b + at[1], y + row * plan.inner(), plan.inner());
            }
        });
    });
}

}  // namespace vila::cpu_kernels
