// How one GEMM is blocked and cut into parts, and which kernels compute it.

#include <algorithm>

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/gemm/pack.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

namespace {

constexpr int64_t kKcMultiple = 32;  // bf16 in a cache line: skinny kernels read whole lines
constexpr int64_t kPackedSize = 4096 * 384;  // floats of b
// Where sums are kept beside a bf16 c, fewer rows and columns: 1344 x 768 f32 = 4 MiB.
constexpr int64_t kSumRows = 1344;
constexpr int64_t kSumColumns = 768;
// A transposed a that serves no more columns than this is read in place, one cache line per k,
// which costs less than a copy.
constexpr int64_t kFewColumns = 64;
// Padding of the rows of packed a, in floats, so that they do not all map to the same cache sets.
constexpr int64_t kRowPadding = 16;
// Rows this far apart, in bytes, share the sets of a first-level cache.
constexpr int64_t kSetStride = 4096;

// Cuts c into about `threads` parts so that the largest part costs least. The cost is that of its
// tiles, in multiply-adds of 32 lanes, and of its copies of a and b, which neighboring parts
// repeat.
void choose_parts(const GemmKernels& kernels, const GemmProblem& problem, int64_t threads,
                  GemmPlan& plan) {
    const double copy_a = plan.pack_a ? 0.2 : 0.0,
                 copy_b = problem.b.column_stride == 1 ? 0.2 : 0.4;
    const int64_t row_tiles = ceil_div(problem.m, kernels.mr);
    const int64_t column_tiles = ceil_div(problem.n, kernels.nr);
    double best = 0.0;
    for (int64_t row_parts = 1; row_parts <= std::min(threads, row_tiles); ++row_parts) {
        const int64_t column_parts = std::min(threads / row_parts, column_tiles);
        const auto rows = static_cast<double>(ceil_div(row_tiles, row_parts) * kernels.mr);
        const auto columns = static_cast<double>(ceil_div(column_tiles, column_parts) * kernels.nr);
        const double cost = rows * columns / 32.0 + copy_a * rows + copy_b * columns;
        if (row_parts > 1 && cost >= best) continue;
        best = cost;
        plan.row_parts = row_parts;
        plan.column_parts = column_parts;
    }
}

}  // namespace

GemmKernels gemm_kernels([[maybe_unused]] Isa isa, [[maybe_unused]] const GemmProblem& problem) {
#if defined(__x86_64__)
    // On AMD (Zen 4, 5) the dot product of pairs does twice the work of a multiply-add per cycle.
    // On Intel (Sapphire and Emerald Rapids) it issues once in two cycles and does half the work.
    const bool pairs =
        problem.a.dtype == DType::BF16 && problem.b.dtype == DType::BF16 && problem.k % 2 == 0;
    if (isa >= Isa::Amx && pairs) return gemm_kernels_amx();
    if (isa >= Isa::Avx512Bf16 && __builtin_cpu_is("amd") && pairs)
        return gemm_kernels_avx512_bf16();
    if (isa >= Isa::Avx512) return gemm_kernels_avx512();
    if (isa >= Isa::Avx2) return gemm_kernels_avx2();
#endif
    return gemm_kernels_portable();
}

GemmPlan plan_gemm(const GemmKernels& kernels, const GemmProblem& problem, int64_t threads) {
    GemmPlan plan = {};
    plan.k = kernels.vnni_pairs ? problem.k / 2 : problem.k;
    const int64_t blocks = ceil_div(plan.k, kernels.kc);
    plan.kc = std::min(round_up(ceil_div(plan.k, blocks), kKcMultiple), plan.k);

    const bool converts = problem.a.dtype == DType::BF16 && !kernels.vnni_pairs;
    const int64_t row_bytes = problem.a.row_stride * problem.a.element_size();
    if (problem.a.column_stride == 1) {
        plan.pack_a = converts || row_bytes % kSetStride == 0 ||
                      row_bytes % static_cast<int64_t>(sizeof(float)) != 0;
    } else {
        plan.pack_a = problem.a.dtype == DType::BF16 || problem.n > kFewColumns;
    }
    plan.keep_sums = problem.c_dtype == DType::BF16 && blocks > 1;
    choose_parts(kernels, problem, threads, plan);

    plan.part_rows = plan.keep_sums ? kSumRows : problem.m;
    const int64_t rows = std::min(
        plan.part_rows, ceil_div(ceil_div(problem.m, kernels.mr), plan.row_parts) * kernels.mr);
    plan.mc = round_up(ceil_div(rows, ceil_div(rows, kernels.mc)), kernels.mr);
    plan.nc = std::min(plan.keep_sums ? kSumColumns : kPackedSize / kernels.kc,
                       round_up(problem.n, kernels.nr));
    plan.a_row_stride = plan.kc + kRowPadding;
    const int64_t row_tiles = plan.mc / kernels.mr;
    const int64_t a_panels = row_tiles * panel_size(plan.kc, kernels.mr);
    plan.a_size = plan.pack_a ? std::max(plan.mc * plan.a_row_stride, a_panels) : 0;
    plan.b_size = plan.nc / kernels.nr * panel_size(plan.kc, kernels.nr);
    plan.c_size = plan.keep_sums ? std::min(kSumRows, round_up(problem.m, kernels.mr)) * plan.nc
                                 : kernels.mr * kernels.nr;
    return plan;
}

int64_t GemmPlan::workspace() const {
    return b_size + a_size + c_size + nc;
}

}  // namespace vila::cpu_kernels
