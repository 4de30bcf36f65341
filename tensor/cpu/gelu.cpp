// The three forms of GELU.

#include <cmath>
#include <numbers>

#include "tensor/cpu/dispatch.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"

namespace vila::cpu_kernels {

namespace {

template <typename Compute>
Compute sigmoid(Compute x) {
    return 1 / (1 + std::exp(-x));
}

template <GeluKind kind, typename Compute>
Compute gelu(Compute x) {
    if constexpr (kind == GeluKind::Erf) {
        return x * Compute(0.5) * (1 + std::erf(x * Compute(std::numbers::sqrt2 / 2)));
    } else if constexpr (kind == GeluKind::Tanh) {
        const Compute u = Compute(std::numbers::sqrt2 * std::numbers::inv_sqrtpi) *
                          (x + Compute(0.044715) * x * x * x);
        return x * Compute(0.5) * (1 + std::tanh(u));
    } else {
        return x * sigmoid(Compute(1.702) * x);
    }
}

template <GeluKind kind, typename Compute>
Compute gelu_derivative(Compute x) {
    if constexpr (kind == GeluKind::Erf) {
        const Compute cumulative =
            Compute(0.5) * (1 + std::erf(x * Compute(std::numbers::sqrt2 / 2)));
        const Compute density = Compute(std::numbers::inv_sqrtpi / std::numbers::sqrt2) *
                                std::exp(Compute(-0.5) * x * x);
        return cumulative + x * density;
    } else if constexpr (kind == GeluKind::Tanh) {
        const Compute scale = Compute(std::numbers::sqrt2 * std::numbers::inv_sqrtpi);
        const Compute t = std::tanh(scale * (x + Compute(0.044715) * x * x * x));
        const Compute du = scale * (1 + Compute(3 * 0.044715) * x * x);
        return Compute(0.5) * (1 + t) + Compute(0.5) * x * (1 - t * t) * du;
    } else {
        const Compute s = sigmoid(Compute(1.702) * x);
        return s + Compute(1.702) * x * s * (1 - s);
    }
}

template <typename Body>
void for_kind(GeluKind kind, const Body& body) {
    switch (kind) {
        case GeluKind::Erf:
            return body(std::integral_constant<GeluKind, GeluKind::Erf>{});
        case GeluKind::Tanh:
            return body(std::integral_constant<GeluKind, GeluKind::Tanh>{});
        case GeluKind::Quick:
            return body(std::integral_constant<GeluKind, GeluKind::Quick>{});
    }
}

}  // namespace

void gelu_forward(const GeluForwardArgs& args) {
    for_float("gelu", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* x = args.x.data<T>();
        T* y = args.y.data<T>();
        for_kind(args.kind, [&](auto kind) {
            parallel_for(cpu(args.y), args.x.numel(), 8, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i)
                    y[i] = T(gelu<kind()>(static_cast<compute_t<T>>(x[i])));
            });
        });
    });
}

void gelu_backward(const GeluBackwardArgs& args) {
    for_float("gelu", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* x = args.x.data<T>();
        const T* dy = args.dy.data<T>();
        T* dx = args.dx.data<T>();
        for_kind(args.kind, [&](auto kind) {
            parallel_for(cpu(args.dx), args.x.numel(), 8, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i)
                    dx[i] = T(static_cast<compute_t<T>>(dy[i]) *
                              gelu_derivative<kind()>(static_cast<compute_t<T>>(x[i])));
            });
        });
    });
}

}  // namespace vila::cpu_kernels
