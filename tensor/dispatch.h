#pragma once

// From a run-time dtype to a compile-time element type, for CPU and CUDA kernels alike.

#include "tensor/check.h"
#include "tensor/dtype.h"

namespace vila {

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

// Calls body(T{}), where T is the element type of a floating-point `dtype` in which kernels
// compute: f32, bf16 or f64. Throws "[op] dtype ..." for any other.
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

// Calls body(T{}) with the element type of any `dtype`.
template <typename Body>
void for_any(DType dtype, const Body& body) {
    switch (dtype) {
        case DType::F64:
            return body(double{});
        case DType::F32:
            return body(float{});
        case DType::BF16:
            return body(BFloat16{});
        case DType::F16:
            return body(Float16{});
        case DType::I64:
            return body(int64_t{});
        case DType::I32:
            return body(int32_t{});
        case DType::U8:
            return body(uint8_t{});
    }
}

}  // namespace vila
