#include "cuda/kernels.h"

namespace vila::cuda {

const Kernels& table() {
    static constexpr Kernels kTable = {
        .copy = copy,
        .fill = fill,
        .matmul = matmul,
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
