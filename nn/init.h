#pragma once

// How the matrices of a new model are drawn: the rules that configurations can name.

#include "nn/parameter.h"

namespace vila::nn {

struct InitRule {
    enum class Kind {
        Normal,        // N(0, scale^2), whatever the shape: Hugging Face's `initializer_range`
        FanInNormal,   // N(0, scale^2 / inputs): with scale 1, keeps the variance of activations
        FanInUniform,  // uniform in +-scale / sqrt(inputs): with scale 1, PyTorch's new Linear
    };
    Kind kind = Kind::Normal;
    double scale = 0.02;

    // For a matrix with that many inputs; `factor` multiplies every value.
    Init operator()(int64_t inputs, double factor = 1.0) const;
};

}  // namespace vila::nn
