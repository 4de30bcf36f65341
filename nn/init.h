#pragma once

// Rules for the initial values of a new model's matrices. A model's configuration selects one.

#include "nn/parameter.h"

namespace vila::nn {

struct InitRule {
    enum class Kind {
        // N(0, scale^2) for any shape. Hugging Face calls this scale `initializer_range`.
        Normal,
        // N(0, scale^2 / inputs). With scale 1, it preserves the variance of activations.
        FanInNormal,
        // Uniform in [-scale / sqrt(inputs), scale / sqrt(inputs)]. With scale 1, the default of
        // PyTorch's nn.Linear.
        FanInUniform,
    };
    Kind kind = Kind::Normal;
    double scale = 0.02;

    // Applies the rule to a matrix with `inputs` columns. `factor` multiplies every value.
    Init operator()(int64_t inputs, double factor = 1.0) const;
};

}  // namespace vila::nn
