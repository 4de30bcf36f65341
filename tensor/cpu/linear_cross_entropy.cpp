// linear_cross_entropy: softmax cross-entropy of hidden (R, C) against weight (V, C), loss and
// gradients in one call. The reference: row by row in f32 (f64 for f64), rows in order.

#include <algorithm>
#include <cmath>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"

namespace vila::cpu_kernels {

namespace {

// One row: its loss, and its part of the gradients. `logits` (V) is scratch.
template <typename T>
void cross_entropy_row(const LinearCrossEntropyArgs& args, int64_t row, compute_t<T>* logits) {
    using Compute = compute_t<T>;
    const int64_t width = args.hidden.size(1), vocab = args.weight.size(0);
    const T* hidden_r = args.hidden.data<T>() + row * width;  // (C)
    const T* weight = args.weight.data<T>();                  // (V, C)
    const int64_t target = args.targets.data<int32_t>()[row];

    for (int64_t v = 0; v < vocab; ++v) {
        logits[v] = 0;
        for (int64_t c = 0; c < width; ++c)
            logits[v] +=
                static_cast<Compute>(hidden_r[c]) * static_cast<Compute>(weight[v * width + c]);
    }
    const Compute largest = *std::max_element(logits, logits + vocab);
    Compute sum = 0;
    for (int64_t v = 0; v < vocab; ++v) sum += std::exp(logits[v] - largest);
    const Compute log_sum_exp = largest + std::log(sum);
    args.losses.data<Compute>()[row] = log_sum_exp - logits[target];

    // d loss / d logits = softmax - onehot(target), in place.
    const auto scale = static_cast<Compute>(args.grad_scale);
    for (int64_t v = 0; v < vocab; ++v)
        logits[v] = scale * (std::exp(logits[v] - log_sum_exp) - (v == target ? 1 : 0));
    if (args.dhidden.defined()) {
        T* dhidden_r = args.dhidden.data<T>() + row * width;
        for (int64_t c = 0; c < width; ++c) {
            Compute total = 0;
            for (int64_t v = 0; v < vocab; ++v)
                total += logits[v] * static_cast<Compute>(weight[v * width + c]);
            dhidden_r[c] = static_cast<T>(total);
        }
    }
    if (args.dweight.defined()) {
        Compute* dweight = args.dweight.data<Compute>();
        for (int64_t v = 0; v < vocab; ++v)
            for (int64_t c = 0; c < width; ++c)
                dweight[v * width + c] += logits[v] * static_cast<Compute>(hidden_r[c]);
    }
}

}  // namespace

void linear_cross_entropy(const LinearCrossEntropyArgs& args) {
    for_float("linear_cross_entropy", args.hidden.dtype(), [&](auto element) {
        using T = decltype(element);
        const Tensor logits =
            Tensor::empty(args.hidden.device(), {args.weight.size(0)}, dtype_of<compute_t<T>>);
        for (int64_t row = 0; row < args.hidden.size(0); ++row)
            cross_entropy_row<T>(args, row, logits.data<compute_t<T>>());
    });
}

}  // namespace vila::cpu_kernels
