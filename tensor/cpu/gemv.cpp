// The product of one to four rows with a transposed matrix, as in decoding: x (m, k), weights
// (n, k), y (m, n). Nothing is reused but x, so nothing is packed: each row of weights is read
// once, in order, at the speed of memory, and multiplied with the rows of x, which stay in the
// cache.

#include "tensor/cpu/gemm.h"

namespace vila::cpu_kernels {

namespace {

// Element i of f32 or bf16.
float element(const void* data, DType dtype, int64_t i) {
    return dtype == DType::F32 ? static_cast<const float*>(data)[i]
                               : static_cast<float>(static_cast<const BFloat16*>(data)[i]);
}

template <typename Out>
void store(Out& c, float value, bool accumulate) {
    if (accumulate) value += static_cast<float>(c);
    c = static_cast<Out>(value);
}

}  // namespace

void gemv_columns(const GemmKernels& kernels, const GemmProblem& problem, const float* a_f32,
                  int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
        float sums[kMaxDotRows];
        const MatrixView& b = problem.b;
        if (b.dtype == DType::F32) {
            const float* b_j = static_cast<const float*>(b.data) + j * b.column;
            kernels.dot(a_f32, problem.k, problem.m, b_j, problem.k, sums);
        } else {
            const auto* b_j = static_cast<const BFloat16*>(b.data) + j * b.column;
            kernels.dot_bf16(a_f32, problem.k, problem.m, b_j, problem.k, sums);
        }
        const float bias =
            problem.bias != nullptr ? element(problem.bias, problem.bias_dtype, j) : 0.0F;
        for (int64_t i = 0; i < problem.m; ++i) {
            const float value = problem.alpha * sums[i] + bias;
            const int64_t at = i * problem.c_row + j;
            if (problem.c_dtype == DType::F32) {
                store(static_cast<float*>(problem.c)[at], value, problem.accumulate);
            } else {
                store(static_cast<BFloat16*>(problem.c)[at], value, problem.accumulate);
            }
        }
    }
}

}  // namespace vila::cpu_kernels
