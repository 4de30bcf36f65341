// The product of one to four rows with a transposed matrix, as in decoding: x (m, k), weights
// (n, k), y (m, n). Nothing is reused but x, so nothing is packed: each row of weights is read
// once, in order, at the speed of memory, and multiplied with the rows of x, which stay in the
// cache.

#include "tensor/cpu/gemm.h"

namespace vila::cpu_kernels {

bool gemv_possible(const GemmProblem& problem) {
    return problem.m <= kMaxDotRows && problem.b.row == 1;
}

void gemv_columns(const GemmKernels& kernels, const GemmProblem& problem, const float* a_f32,
                  int64_t begin, int64_t end) {
    const auto store = [&](auto* c, float value) {
        if (problem.accumulate) value += static_cast<float>(*c);
        *c = static_cast<std::remove_reference_t<decltype(*c)>>(value);
    };
    for (int64_t j = begin; j < end; ++j) {
        float sums[kMaxDotRows];
        float bias = 0.0F;
        if (problem.input == DType::F32) {
            const float* w_j = static_cast<const float*>(problem.b.data) + j * problem.b.column;
            kernels.dot(a_f32, problem.k, problem.m, w_j, problem.k, sums);
            if (problem.bias != nullptr) bias = static_cast<const float*>(problem.bias)[j];
        } else {
            const auto* w_j = static_cast<const BFloat16*>(problem.b.data) + j * problem.b.column;
            kernels.dot_bf16(a_f32, problem.k, problem.m, w_j, problem.k, sums);
            if (problem.bias != nullptr)
                bias = static_cast<float>(static_cast<const BFloat16*>(problem.bias)[j]);
        }
        for (int64_t i = 0; i < problem.m; ++i) {
            const float value = problem.alpha * sums[i] + bias;
            const int64_t at = i * problem.c_row + j;
            if (problem.output == DType::F32) {
                store(static_cast<float*>(problem.c) + at, value);
            } else {
                store(static_cast<BFloat16*>(problem.c) + at, value);
            }
        }
    }
}

}  // namespace vila::cpu_kernels
