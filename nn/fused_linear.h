#pragma once

// Linear layers that read the same input (q, k and v; gate and up) as one matrix product. Each
// layer keeps its own parameters, under its own names; only their memory is shared.

#include <span>
#include <vector>

#include "nn/linear.h"

namespace vila::nn {

// Moves the weights of the layers into one block of memory, one after the other, and their biases
// into another. The parameters become views of it. Does nothing if they lie so already. Throws if a
// weight is quantized. An optimizer that moves values (dist/sharded_adamw.h) undoes it.
void lay_together(std::span<const Linear* const> layers);

// x (R, inputs) -> for each layer its (R, outputs), with the bits of layers[i](x) on a CPU. It is
// one product if the weights, and the biases if there are any, lie together, no layer has an
// adapter, and no gradient is recorded; else one for each layer.
std::vector<autograd::Variable> apply_together(std::span<const Linear* const> layers,
                                               const autograd::Variable& x);

}  // namespace vila::nn
