#pragma once

// What operators with broadcasting share: the shape of the result, and the way back.

#include "autograd/variable.h"

namespace vila::autograd {

// The shape two operands broadcast to, numpy's rule; throws "[op] ..." when there is none.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);
// edge += dx summed over the axes along which the edge's variable was broadcast.
void add_summed(const Edge& edge, const Tensor& dx);

}  // namespace vila::autograd
