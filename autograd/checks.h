#pragma once

// The checks that every operator makes of its operands before it calls a kernel. Kernels rely on
// them.

#include "autograd/variable.h"

namespace vila::autograd {

// Throws unless `x` is f32, bf16 or f64 and has `rank` axes (any number if -1). The message names
// the operator `op` and the operand `name`.
void check_float(const char* op, const char* name, const Tensor& x, int rank = -1);
// Throws unless `operand` has this shape and dtype and is on `device`.
void check_operand(const char* op, const char* name, const Tensor& operand, const Shape& shape,
                   DType dtype, const Device& device);
// Throws unless `index` has one axis, is i32 and is on `device`.
void check_index(const char* op, const char* name, const Tensor& index, const Device& device);

// The dtype of statistics and sums of values of `dtype`: f64 for f64, else f32.
DType accumulation_dtype(DType dtype);

}  // namespace vila::autograd
