// adamw: one optimizer step of one parameter, in one pass. 16 bytes read and 12 to 16 written per
// element, so memory is the limit; the loop is plain and vectorized per instruction set.

#include <cmath>

#include "tensor/adamw_factors.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/simd.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

namespace {

// See adamw_factors.h for the formula.
struct AdamwState {
    float *master, *first, *second;  // w, m, v

    VILA_ALWAYS_INLINE float update(const AdamwFactors& f, float gradient, int64_t i) const {
        const float g = gradient * f.grad_scale;
        const float m = f.beta1 * first[i] + f.one_minus_beta1 * g;
        const float v = f.beta2 * second[i] + f.one_minus_beta2 * g * g;
        first[i] = m;
        second[i] = v;
        return master[i] = f.decay * master[i] -
                           f.step_size * m / (std::sqrt(v) * f.inv_sqrt_second + f.eps);
    }
};

void update_tensor(const AdamwUpdate& args) {
    const AdamwFactors f = adamw_factors(args);
    const float* gradient = args.gradient.data<float>();
    const AdamwState state = {args.master.data<float>(), args.first_moment.data<float>(),
                              args.second_moment.data<float>()};
    const CpuDevice& device = cpu(args.master);
    const auto run = [&](const auto& body) {
        parallel_for(device, args.master.numel(), 4, [&](int64_t begin, int64_t end) {
            with_isa(device.isa(), [=] {
            // The arrays do not overlap, so the compiler need not check for it.
#pragma omp simd
                for (int64_t i = begin; i < end; ++i) body(i);
            });
        });
    };
    if (args.parameter.raw() == args.master.raw())
        return run([=](int64_t i) { state.update(f, gradient[i], i); });
    for_float("adamw", args.parameter.dtype(), [&](auto element) {
        using T = decltype(element);
        T* parameter = args.parameter.data<T>();
        run([=](int64_t i) { parameter[i] = static_cast<T>(state.update(f, gradient[i], i)); });
    });
}

}  // namespace

void adamw(const AdamwArgs& args) {
    for (const AdamwUpdate& tensor : args.tensors) update_tensor(tensor);
}

}  // namespace vila::cpu_kernels
