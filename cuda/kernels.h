#pragma once

// The host functions that launch the CUDA kernels, and the kernel table of the CUDA device. Each
// function has the name of its CPU twin in tensor/cpu/ and is defined in the file of its stem.

#include "tensor/kernels.h"

namespace vila::cuda {

void adamw(const AdamwArgs& args);
void add(const BinaryArgs& args);
void argmax(const ArgmaxArgs& args);
void attention_forward(const AttentionForwardArgs& args);
void attention_backward(const AttentionBackwardArgs& args);
void copy(const CopyArgs& args);
void embedding_forward(const EmbeddingForwardArgs& args);
void embedding_backward(const EmbeddingBackwardArgs& args);
void exp(const ExpArgs& args);
void fill(const FillArgs& args);
void gather_rows(const GatherRowsArgs& args);
void gelu_forward(const GeluForwardArgs& args);
void gelu_backward(const GeluBackwardArgs& args);
void l2_normalize_forward(const L2NormalizeForwardArgs& args);
void l2_normalize_backward(const L2NormalizeBackwardArgs& args);
void layer_norm_forward(const LayerNormForwardArgs& args);
void layer_norm_backward(const LayerNormBackwardArgs& args);
void linear_cross_entropy(const LinearCrossEntropyArgs& args);
void matmul(const MatmulArgs& args);
void mean_rows_forward(const MeanRowsForwardArgs& args);
void mean_rows_backward(const MeanRowsBackwardArgs& args);
void merge_tokens(const MergeTokensArgs& args);
void mul(const BinaryArgs& args);
void patchify(const PatchifyArgs& args);
void rms_norm_forward(const RmsNormForwardArgs& args);
void rms_norm_backward(const RmsNormBackwardArgs& args);
void rope(const RopeArgs& args);
void scale(const ScaleArgs& args);
void scatter_add_rows(const ScatterAddRowsArgs& args);
void scatter_rows(const ScatterRowsArgs& args);
void softmax_forward(const SoftmaxForwardArgs& args);
void softmax_backward(const SoftmaxBackwardArgs& args);
void sum_squares(const SumSquaresArgs& args);
void sum_to(const SumToArgs& args);
void swiglu_forward(const SwigluForwardArgs& args);
void swiglu_backward(const SwigluBackwardArgs& args);

// Returns whether this binary contains code for the current GPU.
bool has_kernel_image();

// The kernel table of the CUDA device.
inline const Kernels& table() {
    static constexpr Kernels kTable = {
        .copy = copy,
        .fill = fill,
        .matmul = matmul,
        .quantized_matmul_forward = nullptr,
        .quantized_matmul_backward = nullptr,
        .add = add,
        .mul = mul,
        .scale = scale,
        .exp = exp,
        .sum_to = sum_to,
        .embedding_forward = embedding_forward,
        .embedding_backward = embedding_backward,
        .gather_rows = gather_rows,
        .scatter_add_rows = scatter_add_rows,
        .scatter_rows = scatter_rows,
        .mean_rows_forward = mean_rows_forward,
        .mean_rows_backward = mean_rows_backward,
        .rms_norm_forward = rms_norm_forward,
        .rms_norm_backward = rms_norm_backward,
        .layer_norm_forward = layer_norm_forward,
        .layer_norm_backward = layer_norm_backward,
        .gelu_forward = gelu_forward,
        .gelu_backward = gelu_backward,
        .swiglu_forward = swiglu_forward,
        .swiglu_backward = swiglu_backward,
        .softmax_forward = softmax_forward,
        .softmax_backward = softmax_backward,
        .argmax = argmax,
        .l2_normalize_forward = l2_normalize_forward,
        .l2_normalize_backward = l2_normalize_backward,
        .rope = rope,
        .attention_forward = attention_forward,
        .attention_backward = attention_backward,
        .patchify = patchify,
        .merge_tokens = merge_tokens,
        .linear_cross_entropy = linear_cross_entropy,
        .adamw = adamw,
        .sum_squares = sum_squares,
    };
    return kTable;
}

}  // namespace vila::cuda
