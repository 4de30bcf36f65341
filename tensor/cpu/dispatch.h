#pragma once

// From a run-time dtype to a compile-time element type, and element conversions.

#include "tensor/tensor.h"

namespace vila::cpu_kernels {

// The type in which a kernel computes on elements of type T: double for double, else float.
template <typename T>
struct ComputeType {
    using type = float;
};
template <>
struct ComputeType<double> {
    using type = double;
};
template <typename T>
using compute_t = typename ComputeType<T>::type;

// Calls body(T{}) with the float element type of `dtype`; throws "[op] ..." for any other.
template <typename Body>
void for_float(const char* op, DType dtype, const Body& body) {
    switch (dtype) {
        case DType::F32:
            return body(float{});
        case DType::BF16:
            return body(BFloat16{});
        case DType::F64:
            return body(double{});
        default:
            throw Error(str("[", op, "] dtype ", dtype, ": expected f32, bf16 or f64"));
    }
}

}  // namespace vila::cpu_kernels
