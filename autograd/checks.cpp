#include "autograd/checks.h"

namespace vila::autograd {

void check_float(const char* op, const char* name, const Tensor& x, int rank) {
    VILA_CHECK(x.defined(), "[", op, "] ", name, " is undefined");
    const DType dtype = x.dtype();
    VILA_CHECK(dtype == DType::F32 || dtype == DType::BF16 || dtype == DType::F64, "[", op, "] ",
               name, " has dtype ", dtype, ": expected f32, bf16 or f64");
    VILA_CHECK(rank < 0 || x.rank() == rank, "[", op, "] ", name, " has shape ", x.shape(),
               ": expected ", rank, " axes");
}

void check_operand(const char* op, const char* name, const Tensor& operand, const Shape& shape,
                   DType dtype, const Device& device) {
    VILA_CHECK(operand.defined(), "[", op, "] ", name, " is undefined");
    VILA_CHECK(operand.shape() == shape, "[", op, "] ", name, " has shape ", operand.shape(),
               ": expected ", shape);
    VILA_CHECK(operand.dtype() == dtype, "[", op, "] ", name, " has dtype ", operand.dtype(),
               ": expected ", dtype);
    VILA_CHECK(&operand.device() == &device, "[", op, "] ", name, " is on ",
               operand.device().name(), ": expected ", device.name());
}

void check_index(const char* op, const char* name, const Tensor& index, const Device& device) {
    VILA_CHECK(index.defined() && index.rank() == 1, "[", op, "] ", name, " has shape ",
               index.shape(), ": expected 1 axis");
    check_operand(op, name, index, index.shape(), DType::I32, device);
}

DType accumulation_dtype(DType dtype) {
    return dtype == DType::F64 ? DType::F64 : DType::F32;
}

}  // namespace vila::autograd
