// The three forms of GELU, and their slopes.

#include <numbers>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/vector_loops.h"
#include "tensor/cpu/vector_math.h"

namespace vila::cpu_kernels {

namespace {

constexpr double kTanhScale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
constexpr double kTanhCubic = 0.044715;
constexpr double kQuickScale = 1.702;

template <GeluKind kind, typename Compute>
VILA_ALWAYS_INLINE Compute value(Compute x) {
    if constexpr (kind == GeluKind::Erf) {
        return x * vector_math::normal_cdf(x);
    } else if constexpr (kind == GeluKind::Tanh) {
        const Compute inner = Compute(kTanhScale) * (x + Compute(kTanhCubic) * x * x * x);
        return x * Compute(0.5) * (1 + vector_math::tanh(inner));
    } else {
        return x * vector_math::sigmoid(Compute(kQuickScale) * x);
    }
}

template <GeluKind kind, typename Compute>
VILA_ALWAYS_INLINE Compute slope(Compute x) {
    if constexpr (kind == GeluKind::Erf) {
        return vector_math::normal_cdf(x) + x * vector_math::normal_pdf(x);
    } else if constexpr (kind == GeluKind::Tanh) {
        const Compute inner = Compute(kTanhScale) * (x + Compute(kTanhCubic) * x * x * x);
        const Compute dinner = Compute(kTanhScale) * (1 + Compute(3 * kTanhCubic) * x * x);
        const Compute t = vector_math::tanh(inner);
        return Compute(0.5) * (1 + t) + Compute(0.5) * x * (1 - t * t) * dinner;
    } else {
        const Compute s = vector_math::sigmoid(Compute(kQuickScale) * x);
        return s + Compute(kQuickScale) * x * s * (1 - s);
    }
}

// Calls body with the kind as a compile-time constant.
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
            vector_for_elements(cpu(args.y), args.x.numel(), 2, [=](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) y[i] = T(value<kind()>(widen(x[i])));
            });
        });
    });
}

void gelu_backward(const GeluBackwardArgs& args) {
    for_float("gelu", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T *x = args.x.data<T>(), *dy = args.dy.data<T>();
        T* dx = args.dx.data<T>();
        for_kind(args.kind, [&](auto kind) {
            vector_for_elements(cpu(args.dx), args.x.numel(), 2, [=](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i)
                    dx[i] = T(widen(dy[i]) * slope<kind()>(widen(x[i])));
            });
        });
    });
}

}  // namespace vila::cpu_kernels
