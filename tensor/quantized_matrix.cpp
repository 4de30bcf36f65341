#include "tensor/quantized_matrix.h"

namespace vila {

const char* block_format_name(BlockFormat format) {
    switch (format) {
        case BlockFormat::Int8:
            return "int8";
    }
    return "";
}

int64_t block_format_bytes(BlockFormat format, int64_t count) {
    switch (format) {
        case BlockFormat::Int8:
            return count;
    }
    return 0;
}

std::vector<Tensor> QuantizedMatrix::tensors() const {
    std::vector<Tensor> found;
    for (const Tensor& tensor : {values, scales, zeros})
        if (tensor.defined()) found.push_back(tensor);
    return found;
}

int64_t QuantizedMatrix::bytes() const {
    int64_t total = 0;
    for (const Tensor& tensor : tensors()) total += tensor.bytes();
    return total;
}

void check_quantized(const std::string& where, const QuantizedMatrix& matrix) {
    VILA_CHECK(matrix.values.defined() && matrix.scales.defined(), where,
               ": a quantized matrix needs values and scales");
    VILA_CHECK(matrix.shape.rank() == 2, where, ": shape ", matrix.shape, ": expected a matrix");
    const int64_t rows = matrix.shape[0], columns = matrix.shape[1];
    VILA_CHECK(matrix.block > 0 && columns % matrix.block == 0, where, ": blocks of ", matrix.block,
               " columns: expected a divisor of the ", columns, " columns");
    const auto check = [&](const char* name, const Tensor& tensor, const Shape& shape,
                           DType dtype) {
        VILA_CHECK_EQ(tensor.shape(), shape, where, ": shape of the ", name);
        VILA_CHECK_EQ(tensor.dtype(), dtype, where, ": dtype of the ", name);
        VILA_CHECK(tensor.is_contiguous(), where, ": the ", name, " are not contiguous");
        VILA_CHECK(&tensor.device() == &matrix.values.device(), where, ": the ", name,
                   " are on another device than the values");
    };
    const Shape blocks = {rows, columns / matrix.block};
    check("values", matrix.values, {rows, block_format_bytes(matrix.format, columns)}, DType::U8);
    check("scales", matrix.scales, blocks, DType::F32);
    if (matrix.zeros.defined()) check("zeros", matrix.zeros, blocks, DType::F32);
}

}  // namespace vila
