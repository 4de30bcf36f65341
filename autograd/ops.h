#pragma once

// The differentiable operators. Each checks shapes and dtypes (kernels assume that they are right),
// calls the kernel table, and saves the tensors that backward needs. The argument structs in
// tensor/kernels.h give formulas and layouts, and explain the letters (R rows, C width, ...). The
// file named after an operator holds its forward and backward pass.

#include <optional>

#include "autograd/variable.h"
#include "tensor/kernels.h"

namespace vila::autograd {

// a + b and a * b with NumPy's broadcasting.
Variable add(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
// alpha * x.
Variable scale(const Variable& x, double alpha);
// The sum of all elements, shape (1).
Variable sum(const Variable& x);
// exp(x), elementwise; for the temperature of a contrastive loss.
Variable exp(const Variable& x);
// The same elements in another shape; one extent may be -1.
Variable reshape(const Variable& x, const Shape& shape);
// The rows of x (R, C), then the rows of y (Q, C): (R + Q, C).
Variable concat_rows(const Variable& x, const Variable& y);
// Columns [begin, end) of x (R, C): (R, end - begin).
Variable slice_columns(const Variable& x, int64_t begin, int64_t end);

// op(a) op(b), batched over equal leading axes.
Variable matmul(const Variable& a, const Variable& b, bool transpose_a = false,
                bool transpose_b = false);
// The optional end of linear(), fused with its matrix product: adds `residual` (R, D), then applies
// `gelu`.
struct LinearEpilogue {
    Variable residual = {};
    std::optional<GeluKind> gelu = std::nullopt;
};
// x weight^T + bias: x (R, C), weight (D, C), bias (D) -> (R, D). The bias may be undefined.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias,
                const LinearEpilogue& then = {});

// The same for a block-quantized weight (D, C), which gets no gradient.
Variable quantized_linear(const Variable& x, const QuantizedMatrix& weight, const Variable& bias,
                          const LinearEpilogue& then = {});

// The rows of table (V, C) at ids (R) i32: (R, C).
Variable embedding(const Variable& table, const Tensor& ids);
// The rows of x (M, C) at index (R) i32: (R, C). An index of -1 gives a row of zeros.
Variable gather_rows(const Variable& x, const Tensor& index);
// text (R, C), where row index[m] is replaced by row m of `rows` (M, C); index (M) i32. The indices
// must be distinct.
Variable splice_rows(const Variable& text, const Variable& rows, const Tensor& index);
// The mean of the rows of each packed sequence: x (R, C), cu_seqlens (B + 1) i32 -> (B, C).
Variable mean_rows(const Variable& x, const Tensor& cu_seqlens);

// Each result has the shape of x (or gate). x (R, C), weight and bias (C), gate and up (R, F); gelu
// takes any shape.
Variable rms_norm(const Variable& x, const Variable& weight, double eps);
Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps);
Variable gelu(const Variable& x, GeluKind kind);
Variable swiglu(const Variable& gate, const Variable& up);
Variable softmax(const Variable& x);
Variable l2_normalize(const Variable& x, double eps = 1e-12);

// x (R, H, D) rotated by the angles of positions (R) i32; cos, sin (max positions, D/2).
Variable rope(const Variable& x, const Tensor& positions, const Tensor& cos, const Tensor& sin);
// q (R, H, D), k and v (M, K, D) -> (R, H, D), over packed sequences: see AttentionForwardArgs.
Variable attention(const Variable& q, const Variable& k, const Variable& v,
                   const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k, bool causal,
                   double scale);
// Causal attention of new rows over keys and values that lie in pages; records no gradient.
// q (R, H, D), k and v (pages * kPageRows, K, D) -> (R, H, D), of the dtype of q. `pages` (B, W)
// i32 lists the pages of each sequence, at most W; cu_seqlens_q and cu_seqlens_k (B + 1) i32 as in
// AttentionForwardArgs. Throws if a shape or dtype differs.
Tensor paged_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k, const Tensor& pages,
                       double scale);
// The offsets of `count` packed sequences of `length` rows each: 0, length, 2 length, ...;
// (count + 1) i32.
Tensor equal_cu_seqlens(Device& device, int64_t count, int64_t length);

// Pixels (B, 3, height, width) -> patches (B * N, 3 * P * P); no gradient flows to pixels.
Tensor patchify(const Tensor& pixels, int64_t patch);
// Space to depth 2 x 2: (B, N, C) -> (B, N', 4C) with N' = ceil(sqrt(N) / 2)^2.
Variable merge_tokens(const Variable& x, bool column_major);

// The softmax cross-entropy of the logits `hidden weight^T` and `targets`, summed over the rows and
// multiplied by `loss_scale` (usually 1 / number of loss tokens of the whole batch): shape (1), f32
// (f64 for f64). hidden (R, C), weight (V, C), targets (R) i32. The forward pass also computes the
// gradients, chunk by chunk, so the logits never exist as a whole. `row_losses`, if given, receives
// the unscaled losses (R).
Variable linear_cross_entropy(const Variable& hidden, const Variable& weight, const Tensor& targets,
                              double loss_scale, Tensor* row_losses = nullptr);

}  // namespace vila::autograd
