#pragma once

// How close a result must be, by element type. A value passes if
//   |got - expected| <= relative * |expected| + absolute * scale
// where `scale` is the largest |expected| of the tensor (at least 1): the error of a sum with
// cancellation is proportional to its terms, not to its result.

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/dtype.h"

namespace vila::testing {

struct Tolerance {
    double relative = 0.0;
    double absolute = 0.0;

    Tolerance operator*(double factor) const { return {factor * relative, factor * absolute}; }
};

inline Tolerance tolerance(DType dtype) {
    switch (dtype) {
        case DType::F64:
            // A few hundred roundings of 1.1e-16.
            return {1e-12, 1e-13};
        case DType::F32:
            // About a hundred roundings of 6e-8, and functions with an error of a few of them.
            return {1e-5, 2e-6};
        default:
            // bf16: one rounding of the result, 2^-9, and as much again for a computation in f32
            // that falls on the other side of a tie.
            return {0x1p-8, 4e-6};
    }
}

// The largest absolute value, at least 1.
inline double scale_of(const std::vector<double>& values) {
    double scale = 1.0;
    for (const double value : values)
        if (std::isfinite(value)) scale = std::max(scale, std::fabs(value));
    return scale;
}

inline bool is_close(double got, double expected, const Tolerance& tolerance, double scale) {
    if (std::isnan(got) || std::isnan(expected)) return std::isnan(got) && std::isnan(expected);
    if (got == expected) return true;  // equal infinities too
    return std::fabs(got - expected) <=
           tolerance.relative * std::fabs(expected) + tolerance.absolute * scale;
}

}  // namespace vila::testing
