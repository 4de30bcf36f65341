#pragma once

// The hyperparameters of AdamW, for the optimizer of one process (nn/adamw.h) and the sharded
// one (dist/sharded_adamw.h).

#include "tensor/kernels.h"

namespace vila {

struct AdamwOptions {
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0.0;  // applies to matrices and embedding tables, not to norms and biases

    // Returns the arguments of the adamw kernel, with only these hyperparameters filled in.
    // `decays`: whether weight decay applies to the parameter.
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
