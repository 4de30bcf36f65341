#pragma once

// The hyperparameters of AdamW, for the optimizer of one process (nn/) and the sharded one (dist/).

#include "tensor/kernels.h"

namespace vila {

struct AdamwOptions {
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0.0;  // only for parameters that decay: matrices, not norms and biases

    // Arguments for the adamw kernel with the fields that stay the same at every step set.
    AdamwUpdate update(bool decays) const {
        AdamwUpdate update;
        update.beta1 = beta1;
        update.beta2 = beta2;
        update.eps = eps;
        update.weight_decay = decays ? weight_decay : 0.0;
        return update;
    }
};

}  // namespace vila
