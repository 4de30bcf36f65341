// Products with a block-quantized weight: the reference, which converts one block at a time to
// floating point and multiplies. Each value is w = scale * (value - zero).

#include <algorithm>
#include <vector>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/dispatch.h"
#include "tensor/quantized_matrix.h"

namespace vila::cpu_kernels {

namespace {

// Converts block `block` of row `row` to `out`.
template <typename Compute>
void dequantize_block(const QuantizedMatrix& weight, int64_t row, int64_t block,
                      std::vector<Compute>& out) {
    const int64_t blocks = weight.shape[1] / weight.block;
    const int64_t at = row * blocks + block;
    const auto scale = static_cast<Compute>(weight.scales.data<float>()[at]);
    const auto zero =
        weight.zeros.defined() ? static_cast<Compute>(weight.zeros.data<float>()[at]) : Compute{0};
    switch (weight.format) {
        case BlockFormat::Int8: {
            const uint8_t* values = weight.values.data<uint8_t>() + at * weight.block;
            for (int64_t i = 0; i < weight.block; ++i)
                out[static_cast<size_t>(i)] =
                    scale * (static_cast<Compute>(static_cast<int8_t>(values[i])) - zero);
            return;
        }
    }
}

}  // namespace

void quantized_matmul_forward(const QuantizedMatmulForwardArgs& args) {
    const QuantizedMatrix& weight = args.weight;
    const int64_t rows = args.x.size(0), outputs = weight.shape[0], inputs = weight.shape[1];
    for_float("quantized_matmul", args.x.dtype(), [&](auto element) {
        using T = decltype(element);
        using Compute = compute_t<T>;
        const T* x = args.x.data<T>();
        const T* bias = args.bias.defined() ? args.bias.data<T>() : nullptr;
        const T* residual = args.residual.defined() ? args.residual.data<T>() : nullptr;
        T* y = args.y.data<T>();
        parallel_for(cpu(args.x), outputs, rows * inputs, [&](int64_t begin, int64_t end) {
            std::vector<Compute> block(static_cast<size_t>(weight.block));
            std::vector<Compute> sums(static_cast<size_t>(rows));
            for (int64_t d = begin; d < end; ++d) {
                std::ranges::fill(sums, bias == nullptr ? Compute{0} : Compute(bias[d]));
                for (int64_t b = 0; b < inputs / weight.block; ++b) {
                    dequantize_block(weight, d, b, block);
                    for (int64_t r = 0; r < rows; ++r)
                        for (int64_t i = 0; i < weight.block; ++i)
                            sums[static_cast<size_t>(r)] +=
                                Compute(x[r * inputs + b * weight.block + i]) *
                                block[static_cast<size_t>(i)];
                }
                for (int64_t r = 0; r < rows; ++r) {
                    const int64_t at = r * outputs + d;
                    const Compute added = residual == nullptr ? Compute{0} : Compute(residual[at]);
                    y[at] = T(sums[static_cast<size_t>(r)] + added);
                }
            }
        });
    });
}

void quantized_matmul_backward(const QuantizedMatmulBackwardArgs& args) {
    const QuantizedMatrix& weight = args.weight;
    const int64_t rows = args.dy.size(0), outputs = weight.shape[0], inputs = weight.shape[1];
    for_float("quantized_matmul", args.dy.dtype(), [&](auto element) {
        using T = decltype(element);
        using Compute = compute_t<T>;
        const T* dy = args.dy.data<T>();
        T* dx = args.dx.data<T>();
        // A column block of dx is one item: its sums run over the outputs in order.
        parallel_for(cpu(args.dy), inputs / weight.block, rows * outputs * weight.block,
                     [&](int64_t begin, int64_t end) {
                         std::vector<Compute> block(static_cast<size_t>(weight.block));
                         std::vector<Compute> sums(static_cast<size_t>(rows * weight.block));
                         for (int64_t b = begin; b < end; ++b) {
                             std::ranges::fill(sums, Compute{0});
                             for (int64_t d = 0; d < outputs; ++d) {
                                 dequantize_block(weight, d, b, block);
                                 for (int64_t r = 0; r < rows; ++r)
                                     for (int64_t i = 0; i < weight.block; ++i)
                                         sums[static_cast<size_t>(r * weight.block + i)] +=
                                             Compute(dy[r * outputs + d]) *
                                             block[static_cast<size_t>(i)];
                             }
                             for (int64_t r = 0; r < rows; ++r)
                                 for (int64_t i = 0; i < weight.block; ++i)
                                     dx[r * inputs + b * weight.block + i] =
                                         T(sums[static_cast<size_t>(r * weight.block + i)]);
                         }
                     });
    });
}

}  // namespace vila::cpu_kernels
