#pragma once

// Broadcasting, forward and backward, for the operators that use it.

#include "autograd/variable.h"

namespace vila::autograd {

// The shape to which two operands broadcast, by NumPy's rules. Throws "[op] ..." if they do not.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);
// Adds dx to the gradient of the edge, summed over the axes along which its variable was broadcast.
void add_summed(const Edge& edge, const Tensor& dx);

}  // namespace vila::autograd
