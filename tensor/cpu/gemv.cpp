// The product of a few rows with a transposed matrix, as in decoding: x (m, k), weights (n, k),
// y (m, n). Nothing is reused but x, so nothing is packed: the rows of weights are read once, as
// many side by side as a tile has columns, and multiplied with the rows of x, which stay in the
// cache.
//
// Blocks of k and the chain of multiply-adds inside them are those of gemm.cpp: a row of y has the
// same bits here as among any number of rows there.

#include "tensor/cpu/gemm/gemm.h"

#include <algorithm>
#include <cstring>

namespace vila::cpu_kernels {

namespace {

constexpr int64_t kMostColumns = 64;

// Element i of f32 or bf16.
float element(const void* data, DType dtype, int64_t i) {
    return dtype == DType::F32 ? static_cast<const float*>(data)[i]
                               : static_cast<float>(static_cast<const BFloat16*>(data)[i]);
}

// A few columns of c: their sums and what is added to them.
class Strip {
  public:
    Strip(const GemmKernels& kernels, const GemmProblem& problem, int64_t begin, int64_t end)
        : kernels_(kernels), problem_(problem), begin_(begin), columns_(end - begin) {
        if (problem.bias != nullptr)
            for (int64_t j = 0; j < columns_; ++j)
                bias_[j] = element(problem.bias, problem.bias_dtype, begin + j);
        // An f32 c is added to the first block of k, a bf16 one at the end, as in gemm.cpp.
        if (add_first()) for_each_sum([&](float& sum, int64_t at) { sum = wide()[at]; });
    }

    void compute(const GemmPlan& plan, const StripRows& a) {
        const MatrixView& b = problem_.b;
        const bool narrow = b.dtype == DType::BF16 && !kernels_.pairs;
        const auto& strips = narrow ? kernels_.strips_bf16 : kernels_.strips;
        const int64_t column_bytes = b.column_stride * b.element_size();
        const char* const first = static_cast<const char*>(b.data) + begin_ * column_bytes;
        GemmStrip strip = {.tile = {},
                           .step_block = plan.step_block,
                           .step_bytes = b.element_size() * (kernels_.pairs ? 2 : 1),
                           .b = first,
                           .column_bytes = column_bytes,
                           .columns = columns_,
                           .next_b = first + columns_ * column_bytes};
        strip.tile.k = plan.steps;
        strip.tile.a = a.data;
        strip.tile.a_row = a.row;
        strip.tile.a_step = a.step;
        strip.tile.c = sums_;
        strip.tile.c_row = kernels_.columns;
        strip.tile.alpha = static_cast<float>(problem_.alpha);
        strip.tile.bias = problem_.bias != nullptr ? bias_ : nullptr;
        strip.tile.add = add_first();
        strips[static_cast<size_t>(problem_.m - 1)](strip);
    }

    void store() {
        auto* const halves = static_cast<BFloat16*>(problem_.c);
        for_each_sum([&](float sum, int64_t at) {
            if (problem_.c_dtype == DType::F32) {
                wide()[at] = sum;
            } else {
                if (problem_.accumulate) sum += static_cast<float>(halves[at]);
                halves[at] = BFloat16(sum);
            }
        });
    }

  private:
    bool add_first() const { return problem_.accumulate && problem_.c_dtype == DType::F32; }
    float* wide() const { return static_cast<float*>(problem_.c); }
    // Calls body(sum, where it belongs in c).
    template <typename Body>
    void for_each_sum(const Body& body) {
        for (int64_t i = 0; i < problem_.m; ++i)
            for (int64_t j = 0; j < columns_; ++j)
                body(sums_[i * kernels_.columns + j], i * problem_.c_row_stride + begin_ + j);
    }

    const GemmKernels& kernels_;
    const GemmProblem& problem_;
    int64_t begin_, columns_;
    float sums_[kMostStripRows * kMostColumns] = {};
    float bias_[kMostColumns] = {};
};

}  // namespace

StripRows copy_strip_rows(const GemmKernels& kernels, const GemmProblem& problem,
                          const GemmPlan& plan, float* out) {
    const MatrixView& a = problem.a;
    const StripRows rows =
        kernels.strips_side_by_side ? StripRows{out, 1, problem.m} : StripRows{out, plan.steps, 1};
    const auto from = [&](int64_t i, int64_t p) { return i * a.row_stride + p * a.column_stride; };
    for (int64_t i = 0; i < problem.m; ++i) {
        for (int64_t p = 0; p < plan.steps; ++p) {
            float* const to = out + i * rows.row + p * rows.step;
            if (kernels.pairs) {
                const auto* const halves = static_cast<const BFloat16*>(a.data);
                const BFloat16 pair[] = {halves[from(i, 2 * p)], halves[from(i, 2 * p + 1)]};
                std::memcpy(to, pair, sizeof(pair));
            } else {
                *to = element(a.data, a.dtype, from(i, p));
            }
        }
    }
    return rows;
}

void gemv_columns(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
                  const StripRows& a, int64_t begin, int64_t end) {
    VILA_ASSERT(kernels.columns <= kMostColumns && problem.m <= kMostStripRows);
    for (int64_t j = begin; j < end; j += kernels.columns) {
        Strip strip(kernels, problem, j, std::min(j + kernels.columns, end));
        strip.compute(plan, a);
        strip.store();
    }
    if (kernels.release != nullptr) kernels.release();
}

}  // namespace vila::cpu_kernels
