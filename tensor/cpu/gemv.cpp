// The product of a few rows with a transposed matrix, as in decoding: x (m, k), weights (n, k),
// y (m, n). Only x is reused, so nothing is packed: the kernel reads each row of weights once, nr
// of them side by side, and multiplies it with the rows of x, which stay in the cache.
//
// The blocks of k and the chain of multiply-adds inside them are those of gemm.cpp: a row of y has
// the same bits here as among any number of rows there.

#include "tensor/cpu/gemm/gemm.h"

#include <algorithm>
#include <cstring>

namespace vila::cpu_kernels {

namespace {

constexpr int64_t kMaxColumns = 64;

// Element i of an array of f32 or bf16.
float element(const void* data, DType dtype, int64_t i) {
    return dtype == DType::F32 ? static_cast<const float*>(data)[i]
                               : static_cast<float>(static_cast<const BFloat16*>(data)[i]);
}

// A few columns of c: their sums, and the bias that is added to them.
class ColumnPanel {
  public:
    ColumnPanel(const GemmKernels& kernels, const GemmProblem& problem, int64_t begin, int64_t end)
        : kernels_(kernels), problem_(problem), begin_(begin), columns_(end - begin) {
        if (problem.bias != nullptr)
            for (int64_t j = 0; j < columns_; ++j)
                bias_[j] = element(problem.bias, problem.bias_dtype, begin + j);
        // An f32 c is added to the first block of k, a bf16 c at the end, as in gemm.cpp.
        if (add_first()) for_each_sum([&](float& sum, int64_t at) { sum = f32_c()[at]; });
    }

    void compute(const GemmPlan& plan, const SkinnyRows& a, TileRegisters& registers) {
        const MatrixView& b = problem_.b;
        const bool reads_bf16 = b.dtype == DType::BF16 && !kernels_.vnni_pairs;
        const auto& skinny = reads_bf16 ? kernels_.skinny_bf16 : kernels_.skinny;
        const int64_t column_bytes = b.column_stride * b.element_size();
        const char* const first = static_cast<const char*>(b.data) + begin_ * column_bytes;
        SkinnyPanel panel = {.tile = {},
                             .kc = plan.kc,
                             .k_bytes = b.element_size() * (kernels_.vnni_pairs ? 2 : 1),
                             .b = first,
                             .column_bytes = column_bytes,
                             .columns = columns_,
                             .next_b = first + columns_ * column_bytes};
        panel.tile.k = plan.k;
        panel.tile.a = a.data;
        panel.tile.a_row_stride = a.row_stride;
        panel.tile.a_k_stride = a.k_stride;
        panel.tile.c = sums_;
        panel.tile.c_row_stride = kernels_.nr;
        panel.tile.alpha = static_cast<float>(problem_.alpha);
        panel.tile.bias = problem_.bias != nullptr ? bias_ : nullptr;
        panel.tile.accumulate = add_first();
        panel.tile.registers = &registers;
        skinny[static_cast<size_t>(problem_.m - 1)](panel);
    }

    void store() {
        auto* const bf16_c = static_cast<BFloat16*>(problem_.c);
        for_each_sum([&](float sum, int64_t at) {
            if (problem_.c_dtype == DType::F32) {
                f32_c()[at] = sum;
            } else {
                if (problem_.accumulate) sum += static_cast<float>(bf16_c[at]);
                bf16_c[at] = BFloat16(sum);
            }
        });
    }

  private:
    bool add_first() const { return problem_.accumulate && problem_.c_dtype == DType::F32; }
    float* f32_c() const { return static_cast<float*>(problem_.c); }
    // Calls body(sum, offset of its element in c).
    template <typename Body>
    void for_each_sum(const Body& body) {
        for (int64_t i = 0; i < problem_.m; ++i)
            for (int64_t j = 0; j < columns_; ++j)
                body(sums_[i * kernels_.nr + j], i * problem_.c_row_stride + begin_ + j);
    }

    const GemmKernels& kernels_;
    const GemmProblem& problem_;
    int64_t begin_, columns_;
    float sums_[kMaxSkinnyRows * kMaxColumns] = {};
    float bias_[kMaxColumns] = {};
};

}  // namespace

SkinnyRows pack_skinny_rows(const GemmKernels& kernels, const GemmProblem& problem,
                            const GemmPlan& plan, float* out) {
    const MatrixView& a = problem.a;
    const SkinnyRows rows =
        kernels.skinny_a_is_k_major ? SkinnyRows{out, 1, problem.m} : SkinnyRows{out, plan.k, 1};
    const auto offset = [&](int64_t i, int64_t p) {
        return i * a.row_stride + p * a.column_stride;
    };
    for (int64_t i = 0; i < problem.m; ++i) {
        for (int64_t p = 0; p < plan.k; ++p) {
            float* const to = out + i * rows.row_stride + p * rows.k_stride;
            if (kernels.vnni_pairs) {
                const auto* const bf16 = static_cast<const BFloat16*>(a.data);
                const BFloat16 pair[] = {bf16[offset(i, 2 * p)], bf16[offset(i, 2 * p + 1)]};
                std::memcpy(to, pair, sizeof(pair));
            } else {
                *to = element(a.data, a.dtype, offset(i, p));
            }
        }
    }
    return rows;
}

void gemv_columns(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
                  const SkinnyRows& a, int64_t begin, int64_t end) {
    VILA_ASSERT(kernels.nr <= kMaxColumns && problem.m <= kMaxSkinnyRows);
    TileRegisters registers;
    for (int64_t j = begin; j < end; j += kernels.nr) {
        ColumnPanel panel(kernels, problem, j, std::min(j + kernels.nr, end));
        panel.compute(plan, a, registers);
        panel.store();
    }
    if (kernels.release != nullptr) kernels.release(registers);
}

}  // namespace vila::cpu_kernels
