#pragma once

// Initialization rules for the matrices of a new model, as configurations name them.

#include "nn/parameter.h"

namespace vila::nn {

struct InitRule {
    enum class Kind {
        Normal,       // N(0, scale^2) for any shape: `initializer_range` of Hugging Face
        FanInNormal,  // N(0, scale^2 / inputs): with scale 1, preserves the variance of activations
        FanInUniform,  // uniform in +-scale / sqrt(inputs): with scale 1, as PyTorch's Linear
    };
    Kind kind = Kind::Normal;
    double scale = 0.02;

    // The initialization of a matrix with `inputs` columns. `factor` multiplies every value.
    Init operator()(int64_t inputs, double factor = 1.0) const;
};

}  // namespace vila::nn
