#pragma once

// The checks every operator makes of its operands before it calls a kernel, and nobody repeats
// after it.

#include "autograd/variable.h"

namespace vila::autograd {

// Throws unless `x` is f32, bf16 or f64 and has `rank` axes (any number if -1). The device is about
// `op` from here on, until its result is recorded.
void check_float(const char* op, const char* name, const Tensor& x, int rank = -1);
// Throws unless `operand` has this shape and dtype and lives on `device`.
void check_operand(const char* op, const char* name, const Tensor& operand, const Shape& shape,
                   DType dtype, const Device& device);
// Throws unless `index` is a list of i32 on `device`.
void check_index(const char* op, const char* name, const Tensor& index, const Device& device);

// The dtype in which statistics and sums of `dtype` are kept: f64 for f64, else f32.
DType accumulation_dtype(DType dtype);

}  // namespace vila::autograd
