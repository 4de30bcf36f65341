// adamw: one optimizer step of one parameter in one pass; 16 bytes read and 12 to 16 written per
// element. One thread per element.

#include <cmath>

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// w = decay w - step_size m / (sqrt(v) inv_sqrt_second + eps).
template <typename T>
struct Adamw {
    const float* gradient;
    float *master, *first, *second;  // w, m, v
    T* parameter;                    // nullptr when it is the master itself
    float grad_scale, beta1, one_minus_beta1, beta2, one_minus_beta2, eps;
    float decay;            // 1 - lr * weight_decay
    float step_size;        // lr / (1 - beta1^step)
    float inv_sqrt_second;  // 1 / sqrt(1 - beta2^step)

    __device__ void operator()(int64_t i) const {
        const float g = gradient[i] * grad_scale;
        const float m = beta1 * first[i] + one_minus_beta1 * g;
        const float v = beta2 * second[i] + one_minus_beta2 * g * g;
        const float w = decay * master[i] - step_size * m / (math::sqrt(v) * inv_sqrt_second + eps);
        first[i] = m;
        second[i] = v;
        master[i] = w;
        if (parameter != nullptr) parameter[i] = narrow<T>(w);
    }
};

}  // namespace

void adamw(const AdamwArgs& args) {
    const auto step = static_cast<double>(args.step);
    const double first_correction = 1.0 - std::pow(args.beta1, step);
    const double second_correction = 1.0 - std::pow(args.beta2, step);
    for_float("adamw", args.parameter.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const bool own = args.parameter.raw() == args.master.raw();
        const Adamw<T> op = {
            .gradient = args.gradient.data<float>(),
            .master = args.master.data<float>(),
            .first = args.first_moment.data<float>(),
            .second = args.second_moment.data<float>(),
            .parameter = own ? nullptr : args.parameter.data<T>(),
            .grad_scale = static_cast<float>(args.grad_scale),
            .beta1 = static_cast<float>(args.beta1),
            .one_minus_beta1 = static_cast<float>(1.0 - args.beta1),
            .beta2 = static_cast<float>(args.beta2),
            .one_minus_beta2 = static_cast<float>(1.0 - args.beta2),
            .eps = static_cast<float>(args.eps),
            .decay = static_cast<float>(1.0 - args.lr * args.weight_decay),
            .step_size = static_cast<float>(args.lr / first_correction),
            .inv_sqrt_second = static_cast<float>(1.0 / std::sqrt(second_correction))};
        for_elements(device_of(args.master), args.master.numel(), op);
    });
}

}  // namespace vila::cuda
