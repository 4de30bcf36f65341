#pragma once

// The kernel table: every operation of a device, as plain function pointers. tensor/cpu/kernels.h
// and cuda/kernels.h each define one. A null entry means that the device lacks the operation;
// call() then throws.
//
// Conventions, checked by the callers in autograd/ and not again here:
//  - tensors are contiguous unless the comment says "strided";
//  - "float" means f32, bf16 or f64 (f64 is the reference in tests); all float tensors of one call
//    share one dtype unless the comment gives another;
//  - reductions accumulate in f32 (f64 for f64);
//  - an undefined Tensor is an absent optional operand;
//  - outputs are allocated by the caller and overwritten, or added to where the comment says "+=".
//    An output never shares memory with an input unless the comment says "may alias";
//  - results do not depend on the number of threads.
//
// Letters: B batch, T text positions, S cached key positions, N image patches, P patch side,
// C width, H query heads, K key/value heads, D head dim, F FFN hidden, V vocabulary, R rows.

#include <optional>
#include <span>
#include <type_traits>

#include "tensor/gelu_kind.h"
#include "tensor/quantized_matrix.h"
#include "tensor/tensor.h"

namespace vila {

// y = x, element by element, converting between any two dtypes. Both strided, same shape.
struct CopyArgs {
    Tensor x, y;
};
// y = value everywhere (any dtype, strided).
struct FillArgs {
    Tensor y;
    double value = 0.0;
};

// z = alpha * op(a) op(b) [+ c if accumulate] [+ bias] [+ residual]; c (.., m, n) = z or gelu(z).
// op transposes the last two axes if transpose_a or transpose_b is set. Leading axes are batch axes
// and equal in a, b and c; they may be strided. The two matrix axes of every operand are row-major
// with unit inner stride. a, b: float, one dtype; c: that dtype or f32. bias (n) has the dtype of
// a. With residual or gelu, c is contiguous. residual and pre_activation have the shape and dtype
// of c. pre_activation, if given, receives z, which the backward of gelu needs. A device may round
// z to the dtype of c before it adds the residual and before gelu.
struct MatmulArgs {
    Tensor a, b, c;
    bool transpose_a = false, transpose_b = false;
    bool accumulate = false;
    double alpha = 1.0;
    Tensor bias = {};
    Tensor residual = {};
    std::optional<GeluKind> gelu = std::nullopt;
    Tensor pre_activation = {};
};

// y = x W^T [+ bias] [+ residual] for a block-quantized weight W (D, C): x (R, C), bias (D),
// residual and y (R, D).
struct QuantizedMatmulForwardArgs {
    Tensor x;
    QuantizedMatrix weight;
    Tensor bias = {}, residual = {};
    Tensor y;
};
// dx = dy W: dy (R, D), dx (R, C), which is overwritten.
struct QuantizedMatmulBackwardArgs {
    QuantizedMatrix weight;
    Tensor dy, dx;
};

// y = a + b or y = a * b, with NumPy broadcasting to y's shape; float. y may alias a.
struct BinaryArgs {
    Tensor a, b, y;
};
// y = alpha * x [+ y if accumulate]; x float, y float of any dtype. y may alias x.
struct ScaleArgs {
    Tensor x, y;
    double alpha = 1.0;
    bool accumulate = false;
};
// y = exp(x), same shape; y may alias x.
struct ExpArgs {
    Tensor x, y;
};
// y = x summed over the axes along which y has extent 1, and over leading axes that y lacks: the
// gradient of broadcasting. x, y: float, each of any dtype. += if accumulate.
struct SumToArgs {
    Tensor x, y;
    bool accumulate = false;
};

// y[r] = table[ids[r]]: table (V, C), ids (R) i32 in [0, V), y (R, C).
struct EmbeddingForwardArgs {
    Tensor table, ids, y;
};
// dtable[ids[r]] += dy[r]: dy (R, C), dtable (V, C) f32 (f64 for f64). Rows are added in order, so
// the sum is reproducible.
struct EmbeddingBackwardArgs {
    Tensor ids, dy, dtable;
};

// y[r] = x[index[r]], or zeros where the index is -1: x (M, C), index (R) i32, y (R, C).
struct GatherRowsArgs {
    Tensor x, index, y;
};
// y[index[r]] += x[r]; rows with index -1 are skipped: x (R, C), index (R) i32, y (M, C) f32 (f64
// for f64). Rows are added in order.
struct ScatterAddRowsArgs {
    Tensor x, index, y;
};
// y[index[r]] = x[r], or zeros when x is absent: x (R, C), index (R) i32, y (M, C). The indices are
// distinct. Other rows of y keep their values.
struct ScatterRowsArgs {
    Tensor x, index, y;
};

// y[b] = the mean of rows [cu_seqlens[b], cu_seqlens[b+1]) of x: x (R, C), cu_seqlens (B + 1) i32,
// y (B, C). An empty range gives zeros. A row of x outside all ranges gets a gradient of zero.
struct MeanRowsForwardArgs {
    Tensor x, cu_seqlens, y;
};
struct MeanRowsBackwardArgs {
    Tensor cu_seqlens, dy, dx;
};

// Root mean square normalization (Zhang and Sennrich 2019): y = x * inv_rms * weight with
// inv_rms = 1 / sqrt(mean(x^2) + eps). x, y (R, C); weight (C); inv_rms (R) f32 (f64 for f64).
struct RmsNormForwardArgs {
    Tensor x, weight;
    double eps = 0.0;
    Tensor y, inv_rms;
};
// dx (R, C) is overwritten; dweight (C) f32 (f64 for f64) += unless it is absent.
struct RmsNormBackwardArgs {
    Tensor x, weight, inv_rms, dy, dx, dweight = {};
};

// Layer normalization (Ba et al. 2016): y = (x - mean) * inv_std * weight + bias with
// inv_std = 1 / sqrt(variance + eps). x, y (R, C); weight, bias (C); mean, inv_std (R) f32 (f64 for
// f64).
struct LayerNormForwardArgs {
    Tensor x, weight, bias;
    double eps = 0.0;
    Tensor y, mean, inv_std;
};
// dx (R, C) is overwritten; dweight, dbias (C) f32 (f64 for f64) += unless they are absent.
struct LayerNormBackwardArgs {
    Tensor x, weight, mean, inv_std, dy, dx, dweight = {}, dbias = {};
};

// y = gelu(x), any shape; y may alias x.
struct GeluForwardArgs {
    Tensor x;
    GeluKind kind = GeluKind::Erf;
    Tensor y;
};
struct GeluBackwardArgs {
    Tensor x;
    GeluKind kind = GeluKind::Erf;
    Tensor dy, dx;
};

// SwiGLU (Shazeer 2020): y = silu(gate) * up; all (R, F).
struct SwigluForwardArgs {
    Tensor gate, up, y;
};
struct SwigluBackwardArgs {
    Tensor gate, up, dy, dgate, dup;
};

// y = softmax(x) along the last axis. x, y (R, C).
struct SoftmaxForwardArgs {
    Tensor x, y;
};
struct SoftmaxBackwardArgs {
    Tensor y, dy, dx;
};

// index[r] = the column of the largest number in row r of x, the first of equal ones: x (R, C),
// index (R) i32. NaN is ignored; a row without numbers above -infinity gives -1.
struct ArgmaxArgs {
    Tensor x, index;
};

// y = x / norm with norm = max(|x|_2, eps) of each row. x, y (R, C); norm (R) f32 (f64 for f64).
struct L2NormalizeForwardArgs {
    Tensor x;
    double eps = 0.0;
    Tensor y, norm;
};
// Where norm is eps it was clamped, so the gradient takes it as a constant.
struct L2NormalizeBackwardArgs {
    Tensor y, norm, dy;
    double eps = 0.0;
    Tensor dx;
};

// Rotary position embedding (Su et al. 2021), half-split pairs (j, j + D/2) as in Hugging Face
// weights. x, y (R, H, D), whose rows and heads may be strided; positions (R) i32; cos, sin
// (max positions, D/2) f32 (f64 for f64). `inverse` rotates back; the gradient is that rotation. y
// may alias x.
struct RopeArgs {
    Tensor x, positions, cos, sin, y;
    bool inverse = false;
};

// Attention of variable-length sequences laid end to end (no T x S matrix is ever stored):
// out = softmax(scale * q k^T) v inside each sequence. q, out (R, H, D); k, v (M, K, D), H a
// multiple of K: query head h attends to key head h / (H/K). Rows may be strided (slices of a fused
// projection). cu_seqlens_q, cu_seqlens_k (B + 1) i32: sequence b owns q rows [cu_seqlens_q[b],
// cu_seqlens_q[b+1]) and k rows [cu_seqlens_k[b], cu_seqlens_k[b+1]). With `causal` the last query
// of a sequence attends to all its keys, the one before it to one fewer, and so on. A query without
// keys gives zeros. log_sum_exp (R, H) f32 (f64 for f64) is kept for backward. Forward reads no
// rows of k and v after cu_seqlens_k[B], so they may be a cache with free rows; backward allows no
// such rows.
//
// With `pages` (B, W) i32, at most W pages for each sequence, forward reads k and v from pages of
// kPageRows rows: key j of sequence b is row kPageRows * pages[b, j / kPageRows] + j % kPageRows of
// k and v. cu_seqlens_k then gives only the
// number of keys of each sequence, at most W * kPageRows, and sequences may share pages. The pages
// of keys that exist must lie in k and v; others are not read. The result has the same bits as with
// the keys in one piece.
constexpr int64_t kPageRows = 64;
// Sequences with at most this many queries may be summed in another order than longer ones.
constexpr int64_t kDecodeQueries = 2;
struct AttentionForwardArgs {
    Tensor q, k, v, cu_seqlens_q, cu_seqlens_k;
    bool causal = false;
    double scale = 1.0;
    Tensor out, log_sum_exp;
    Tensor pages = {};
};
// dq has the shape of q; dk and dv have that of k. Rows may be strided.
struct AttentionBackwardArgs {
    Tensor q, k, v, cu_seqlens_q, cu_seqlens_k;
    bool causal = false;
    double scale = 1.0;
    Tensor out, log_sum_exp, dout;
    Tensor dq, dk, dv;
};

// Cuts images into patches: pixels (B, 3, height, width) -> patches (B * N, 3 * P * P), patch rows
// first, each patch in (channel, y, x) order, as a convolution weight (C, 3, P, P) is laid out.
// Pixels right of or below the last whole patch are dropped.
struct PatchifyArgs {
    Tensor pixels;
    int64_t patch = 0;
    Tensor patches;
};

// Space to depth, 2 x 2: x (B, N, C) is a square grid of side sqrt(N), zero-padded to an even side;
// y (B, N', 4C) with N' = ceil(side/2)^2. A token of y holds the four tokens of its block at (row,
// column) (0,0) (0,1) (1,0) (1,1), one after the other. Tokens of y run down the columns of blocks
// if `column_major`, else along the rows. `inverse` copies y back to x, which is the gradient.
struct MergeTokensArgs {
    Tensor x, y;
    bool column_major = false;
    bool inverse = false;
};

// Softmax cross-entropy fused with the vocabulary projection, chunk by chunk: the (R, V) logits
// never exist. hidden (R, C), weight (V, C), targets (R) i32 in [0, V).
// losses (R) f32 (f64 for f64) = log sum_v exp(logits) - logits[target].
// If given, dhidden (R, C) and dweight (V, C) f32 (+=) receive the gradients of grad_scale times
// the sum of the losses.
struct LinearCrossEntropyArgs {
    Tensor hidden, weight, targets;
    double grad_scale = 1.0;
    Tensor losses, dhidden = {}, dweight = {};
};

// AdamW (Loshchilov and Hutter 2019) for one tensor of any shape. gradient is f32 and is multiplied
// by grad_scale first. master, first_moment and second_moment are f32 and updated in place.
// parameter (float; may be master itself) receives the rounded master. step counts from 1. The
// formula is in adamw_factors.h.
struct AdamwUpdate {
    Tensor gradient, master, first_moment, second_moment, parameter;
    double lr = 0.0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0;
    double grad_scale = 1.0;
    int64_t step = 1;
};
// One step for each of these tensors, which share no memory. A GPU updates many of them in one
// launch.
struct AdamwArgs {
    std::span<const AdamwUpdate> tensors;
};
// result (1) f64 += sum of squares of x (float, any shape), in f64, in a fixed order.
struct SumSquaresArgs {
    Tensor x, result;
};

struct Kernels {
    void (*copy)(const CopyArgs&) = nullptr;
    void (*fill)(const FillArgs&) = nullptr;
    void (*matmul)(const MatmulArgs&) = nullptr;
    void (*quantized_matmul_forward)(const QuantizedMatmulForwardArgs&) = nullptr;
    void (*quantized_matmul_backward)(const QuantizedMatmulBackwardArgs&) = nullptr;
    void (*add)(const BinaryArgs&) = nullptr;
    void (*mul)(const BinaryArgs&) = nullptr;
    void (*scale)(const ScaleArgs&) = nullptr;
    void (*exp)(const ExpArgs&) = nullptr;
    void (*sum_to)(const SumToArgs&) = nullptr;
    void (*embedding_forward)(const EmbeddingForwardArgs&) = nullptr;
    void (*embedding_backward)(const EmbeddingBackwardArgs&) = nullptr;
    void (*gather_rows)(const GatherRowsArgs&) = nullptr;
    void (*scatter_add_rows)(const ScatterAddRowsArgs&) = nullptr;
    void (*scatter_rows)(const ScatterRowsArgs&) = nullptr;
    void (*mean_rows_forward)(const MeanRowsForwardArgs&) = nullptr;
    void (*mean_rows_backward)(const MeanRowsBackwardArgs&) = nullptr;
    void (*rms_norm_forward)(const RmsNormForwardArgs&) = nullptr;
    void (*rms_norm_backward)(const RmsNormBackwardArgs&) = nullptr;
    void (*layer_norm_forward)(const LayerNormForwardArgs&) = nullptr;
    void (*layer_norm_backward)(const LayerNormBackwardArgs&) = nullptr;
    void (*gelu_forward)(const GeluForwardArgs&) = nullptr;
    void (*gelu_backward)(const GeluBackwardArgs&) = nullptr;
    void (*swiglu_forward)(const SwigluForwardArgs&) = nullptr;
    void (*swiglu_backward)(const SwigluBackwardArgs&) = nullptr;
    void (*softmax_forward)(const SoftmaxForwardArgs&) = nullptr;
    void (*softmax_backward)(const SoftmaxBackwardArgs&) = nullptr;
    void (*argmax)(const ArgmaxArgs&) = nullptr;
    void (*l2_normalize_forward)(const L2NormalizeForwardArgs&) = nullptr;
    void (*l2_normalize_backward)(const L2NormalizeBackwardArgs&) = nullptr;
    void (*rope)(const RopeArgs&) = nullptr;
    void (*attention_forward)(const AttentionForwardArgs&) = nullptr;
    void (*attention_backward)(const AttentionBackwardArgs&) = nullptr;
    void (*patchify)(const PatchifyArgs&) = nullptr;
    void (*merge_tokens)(const MergeTokensArgs&) = nullptr;
    void (*linear_cross_entropy)(const LinearCrossEntropyArgs&) = nullptr;
    void (*adamw)(const AdamwArgs&) = nullptr;
    void (*sum_squares)(const SumSquaresArgs&) = nullptr;
};

// The number of kernels: Kernels holds nothing but function pointers.
constexpr size_t kKernelCount = sizeof(Kernels) / sizeof(void (*)());
static_assert(std::is_aggregate_v<Kernels> && std::is_trivially_copyable_v<Kernels> &&
              sizeof(Kernels) == kKernelCount * sizeof(void (*)()));

// Runs one entry of the table: call(device, "rope", &Kernels::rope, {.x = x, ...}). Throws if the
// device lacks it.
template <typename Args>
void call(Device& device, const char* name, void (*Kernels::*entry)(const Args&),
          const std::type_identity_t<Args>& args) {
    const auto kernel = device.kernels().*entry;
    VILA_CHECK(kernel != nullptr, "[", name, "] is not supported on ", device.name());
    kernel(args);
}

}  // namespace vila
