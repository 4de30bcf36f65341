#pragma once

// The constants of one AdamW update, computed on the host. CPU and CUDA kernels share this code, so
// both multiply by the same bits.

#include <cmath>

#include "tensor/kernels.h"

namespace vila {

// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// w = decay w - step_size m / (sqrt(v) inv_sqrt_second + eps).
struct AdamwFactors {
    float grad_scale, beta1, one_minus_beta1, beta2, one_minus_beta2, eps;
    float decay;            // 1 - lr * weight_decay
    float step_size;        // lr / (1 - beta1^step)
    float inv_sqrt_second;  // 1 / sqrt(1 - beta2^step)
};

// Computed in double, then rounded to float.
inline AdamwFactors adamw_factors(const AdamwUpdate& args) {
    const auto step = static_cast<double>(args.step);
    const double first_correction = 1.0 - std::pow(args.beta1, step);
    const double second_correction = 1.0 - std::pow(args.beta2, step);
    return {.grad_scale = static_cast<float>(args.grad_scale),
            .beta1 = static_cast<float>(args.beta1),
            .one_minus_beta1 = static_cast<float>(1.0 - args.beta1),
            .beta2 = static_cast<float>(args.beta2),
            .one_minus_beta2 = static_cast<float>(1.0 - args.beta2),
            .eps = static_cast<float>(args.eps),
            .decay = static_cast<float>(1.0 - args.lr * args.weight_decay),
            .step_size = static_cast<float>(args.lr / first_correction),
            .inv_sqrt_second = static_cast<float>(1.0 / std::sqrt(second_correction))};
}

}  // namespace vila
