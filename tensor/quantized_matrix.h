#pragma once

// QuantizedMatrix: the storage of a block-quantized matrix. The values of a row are cut into blocks
// of consecutive columns. Each block has a scale and, in asymmetric formats, a zero point:
//
//     w = scale * (value - zero)
//
// A matrix of this kind is read, never trained.

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace vila {

// The storage format of the values of a block.
enum class BlockFormat {
    Int8,  // one signed byte each
};

// "int8".
const char* block_format_name(BlockFormat format);
// Bytes of `count` consecutive values of a row.
int64_t block_format_bytes(BlockFormat format, int64_t count);

struct QuantizedMatrix {
    BlockFormat format = BlockFormat::Int8;
    Shape shape = {};    // (D, C)
    int64_t block = 0;   // columns of a block; divides C
    Tensor values = {};  // (D, bytes of C values) u8
    Tensor scales = {};  // (D, C / block) f32
    Tensor zeros = {};   // (D, C / block) f32, in units of the values; undefined: all are 0

    bool defined() const { return values.defined(); }
    int64_t bytes() const;
    // The tensors that are defined, for code that moves, counts or hashes memory.
    std::vector<Tensor> tensors() const;
};

// Throws unless the tensors of `matrix` have the shapes and dtypes above and are contiguous, on one
// device. The message begins with `where`.
void check_quantized(const std::string& where, const QuantizedMatrix& matrix);

}  // namespace vila
