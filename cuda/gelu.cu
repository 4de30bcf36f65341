// The three forms of GELU and their derivatives. One thread per element.

#include "cuda/elements.h"
#include "cuda/kernels.h"
#include "cuda/math.h"

namespace vila::cuda {

namespace {

constexpr double kTanhScale = 0.79788456080286535588;  // sqrt(2 / pi)
constexpr double kTanhCubic = 0.044715;
constexpr double kQuickScale = 1.702;

template <GeluKind kind, typename Compute>
__device__ Compute value(Compute x) {
    if constexpr (kind == GeluKind::Erf) {
        return x * math::normal_cdf(x);
    } else if constexpr (kind == GeluKind::Tanh) {
        const Compute inner = Compute(kTanhScale) * (x + Compute(kTanhCubic) * x * x * x);
        return x * Compute(0.5) * (1 + math::tanh(inner));
    } else {
        return x * math::sigmoid(Compute(kQuickScale) * x);
    }
}

template <GeluKind kind, typename Compute>
__device__ Compute derivative(Compute x) {
    if constexpr (kind == GeluKind::Erf) {
        return math::normal_cdf(x) + x * math::normal_pdf(x);
    } else if constexpr (kind == GeluKind::Tanh) {
        const Compute inner = Compute(kTanhScale) * (x + Compute(kTanhCubic) * x * x * x);
        const Compute dinner = Compute(kTanhScale) * (1 + Compute(3 * kTanhCubic) * x * x);
        const Compute t = math::tanh(inner);
        return Compute(0.5) * (1 + t) + Compute(0.5) * x * (1 - t * t) * dinner;
    } else {
        const Compute s = math::sigmoid(Compute(kQuickScale) * x);
        return s + Compute(kQuickScale) * x * s * (1 - s);
    }
}

template <GeluKind kind, typename T>
struct GeluForward {
    const T* x;
    T* y;

    __device__ void operator()(int64_t i) const { y[i] = narrow<T>(value<kind>(widen(x[i]))); }
};

template <GeluKind kind, typename T>
struct GeluBackward {
    const T *x, *dy;
    T* dx;

    __device__ void operator()(int64_t i) const {
        dx[i] = narrow<T>(widen(dy[i]) * derivative<kind>(widen(x[i])));
    }
};

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
        for_kind(args.kind, [&](auto kind) {
            for_elements(device_of(args.y), args.x.numel(),
                         GeluForward<decltype(kind)::value, T>{args.x.data<T>(), args.y.data<T>()});
        });
    });
}

void gelu_backward(const GeluBackwardArgs& args) {
    for_float("gelu", args.x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_kind(args.kind, [&](auto kind) {
            for_elements(device_of(args.dx), args.x.numel(),
                         GeluBackward<decltype(kind)::value, T>{args.x.data<T>(), args.dy.data<T>(),
                                                                args.dx.data<T>()});
        });
    });
}

}  // namespace vila::cuda
