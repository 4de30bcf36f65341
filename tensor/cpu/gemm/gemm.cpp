// The blocking of the matrix product c = a b (Goto and van de Geijn 2008, Van Zee and van de Geijn
// 2015), written for a core with 48 KiB of first-level and 2 MiB of second-level cache.
//
//   loop              over                 so that
//   parts             rows, columns of c   threads work alone: no barrier, no shared buffer
//   column blocks     kPackedSize of b     the packed block of b is bounded: 6 MiB, third level
//   step blocks       384 of k             a panel of b, 384 x 32 f32 = 48 KiB, stays in or near
//                                          the first level while the rows of a go past it
//   row blocks        448 of m             the block of a, 448 x 384 f32 = 672 KiB, stays in the
//                                          second level while the panels of b go past it
//   panels            32 columns           one panel of b
//   tiles             14 rows              14 x 32 sums in registers: gemm_avx512.cpp
//
// (Tile registers sum so fast that c is what they wait for: 1024 steps and 224 rows there.)
//
// b is always packed into panels, each step's 32 elements side by side. a is read where it lies if
// its rows run along k; it is copied when the inner loop could not read it well (a transposed,
// bf16, or rows 4 KiB apart, which all fall into the same sets of the first-level cache).
//
// An element of c is the sum over step blocks, in order, of one chain of multiply-adds over the
// steps of a block (tile registers have an order of their own: gemm_amx.cpp). Parts cut rows and
// columns only, at tile edges, and step blocks depend on k alone: any number of threads computes
// the same bits, and a row of c has the same bits whatever the number of rows, few (gemv.cpp) or
// many. bf16 is widened to f32 while packing (products of bf16 are exact in f32) unless the kernels
// multiply pairs; sums are f32 and rounded once.
//
// Share of the multiply-add loop of the same process (Emerald Rapids, AVX-512, 178 GF; one thread,
// its processor time, on a busy machine; f32, the lowest and highest of NN, NT and TN): 2048^3 0.91
// to 0.91, 1024^3 0.84 to 0.87, 512 x 4096 x 4096 0.88 to 0.89, 577 x 1024 x 4096 0.80 to 0.84; the
// tile alone, from the cache, 0.98. `vila bench gemm` repeats it by the wall clock.

#include "tensor/cpu/gemm/gemm.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/gemm/pack.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

namespace {

constexpr int64_t kStepMultiple = 32;        // bf16 in a cache line: strips read whole ones
constexpr int64_t kPackedSize = 4096 * 384;  // floats of b
// Where sums are kept beside a bf16 c, fewer rows and columns: 1344 x 768 f32 = 4 MiB.
constexpr int64_t kSumRows = 1344;
constexpr int64_t kSumColumns = 768;
// A transposed a that is used for so few columns costs less where it lies, a cache line a step,
// than its copy.
constexpr int64_t kFewColumns = 64;
// Rows of the copy of a are this many floats longer than needed, against equal cache sets.
constexpr int64_t kRowPadding = 16;
constexpr int64_t kFloatsPerLine = 16;
// Rows this far apart, in bytes, share the sets of a first-level cache.
constexpr int64_t kSetStride = 4096;

// The part of `tiles` tiles of `size` that belongs to `part` of `parts`, cut off at `limit`.
struct Range {
    int64_t begin, end;
};
Range part_range(int64_t part, int64_t parts, int64_t limit, int64_t size) {
    const int64_t tiles = ceil_div(limit, size);
    return {std::min(tiles * part / parts * size, limit),
            std::min(tiles * (part + 1) / parts * size, limit)};
}

// Cuts c into about `threads` parts so that the slowest has least to do: its tiles, in
// multiply-adds of 32 lanes, and its copies of a and b, which parts side by side repeat.
void choose_parts(const GemmKernels& kernels, const GemmProblem& problem, int64_t threads,
                  GemmPlan& plan) {
    const double copy_a = plan.pack_a ? 0.2 : 0.0,
                 copy_b = problem.b.column_stride == 1 ? 0.2 : 0.4;
    const int64_t row_tiles = ceil_div(problem.m, kernels.rows);
    const int64_t column_tiles = ceil_div(problem.n, kernels.columns);
    double best = 0.0;
    for (int64_t row_parts = 1; row_parts <= std::min(threads, row_tiles); ++row_parts) {
        const int64_t column_parts = std::min(threads / row_parts, column_tiles);
        const auto rows = static_cast<double>(ceil_div(row_tiles, row_parts) * kernels.rows);
        const auto columns =
            static_cast<double>(ceil_div(column_tiles, column_parts) * kernels.columns);
        const double cost = rows * columns / 32.0 + copy_a * rows + copy_b * columns;
        if (row_parts > 1 && cost >= best) continue;
        best = cost;
        plan.row_parts = row_parts;
        plan.column_parts = column_parts;
    }
}

// One part of c being computed: the problem, and this thread's buffers.
class Part {
  public:
    Part(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
         float* workspace)
        : kernels_(kernels),
          problem_(problem),
          plan_(plan),
          packed_b_(workspace),
          packed_a_(packed_b_ + plan.b_size),
          sums_(packed_a_ + plan.a_size),
          bias_(sums_ + plan.c_size) {}

    void run(Range rows, Range columns) {
        for (int64_t i = rows.begin; i < rows.end; i += plan_.part_rows) {
            for (int64_t j = columns.begin; j < columns.end; j += plan_.column_block) {
                run_block({i, std::min(i + plan_.part_rows, rows.end)},
                          {j, std::min(j + plan_.column_block, columns.end)});
            }
        }
    }

  private:
    // Elements of two bytes that become floats on the way.
    bool narrow(const MatrixView& x) const { return x.dtype == DType::BF16 && !kernels_.pairs; }
    // Bytes of one step along the neighbours in a row.
    int64_t step_bytes(const MatrixView& x) const {
        return x.element_size() * (kernels_.pairs ? 2 : 1);
    }

    // Rows of a as the inner loop reads them: element (i, p) at data + i * row + p * step.
    struct Rows {
        const float* data;
        int64_t row, step;
        int64_t tile;  // floats from one tile's rows to the next
    };

    void run_block(Range rows, Range columns) {
        pack_bias(columns);
        for (int64_t p = 0; p < plan_.steps; p += plan_.step_block) {
            const Range steps = {p, std::min(p + plan_.step_block, plan_.steps)};
            pack_b(steps, columns);
            for (int64_t i = rows.begin; i < rows.end; i += plan_.row_block) {
                const Range block = {i, std::min(i + plan_.row_block, rows.end)};
                multiply(pack_a(steps, block), steps, block, rows.begin, columns);
            }
        }
    }

    void pack_bias(Range columns) {
        if (problem_.bias == nullptr) return;
        const int64_t count = columns.end - columns.begin;
        if (problem_.bias_dtype == DType::F32) {
            pack_rows(kernels_.isa, static_cast<const float*>(problem_.bias) + columns.begin, 0, 1,
                      count, bias_, 0);
        } else {
            pack_rows(kernels_.isa, static_cast<const BFloat16*>(problem_.bias) + columns.begin, 0,
                      1, count, bias_, 0);
        }
        std::fill(bias_ + count, bias_ + round_up(count, kernels_.columns), 0.0F);
    }

    void pack_b(Range steps, Range columns) {
        const MatrixView& b = problem_.b;
        const int64_t count = columns.end - columns.begin, k = steps.end - steps.begin;
        if (b.column_stride == 1) {
            pack_across(b, b.row_stride, steps, columns.begin, count, kernels_.columns, packed_b_);
            return;
        }
        const int64_t size = panel_size(k, kernels_.columns);
        const auto transpose = narrow(b) ? kernels_.transpose_bf16 : kernels_.transpose;
        const int64_t row_bytes = b.column_stride * b.element_size();
        const char* source = static_cast<const char*>(b.data) + columns.begin * row_bytes +
                             steps.begin * step_bytes(b);
        for (int64_t j = 0; j < count; j += kernels_.columns) {
            const int64_t filled = std::min(kernels_.columns, count - j);
            transpose(source + j * row_bytes, row_bytes, filled, k,
                      packed_b_ + j / kernels_.columns * size);
        }
    }

    // Panels of a matrix whose rows run across them.
    void pack_across(const MatrixView& x, int64_t row, Range steps, int64_t begin, int64_t count,
                     int64_t width, float* panels) {
        const int64_t k = steps.end - steps.begin;
        const auto pack = [&](auto step) {
            step.source += begin;
            pack_panels(kernels_.isa, step, k, count, width, panels);
        };
        const auto* wide = static_cast<const float*>(x.data);
        const auto* halves = static_cast<const BFloat16*>(x.data);
        if (kernels_.pairs) return pack(PairStep{halves + 2 * steps.begin * row, row});
        if (narrow(x)) return pack(PanelStep<BFloat16>{halves + steps.begin * row, row});
        pack(PanelStep<float>{wide + steps.begin * row, row});
    }

    Rows pack_a(Range steps, Range rows) {
        const MatrixView& a = problem_.a;
        const int64_t count = rows.end - rows.begin, k = steps.end - steps.begin;
        if (a.row_stride == 1 && a.column_stride != 1 && kernels_.rows_of_pairs != nullptr) {
            kernels_.rows_of_pairs(static_cast<const BFloat16*>(a.data) +
                                       2 * steps.begin * a.column_stride + rows.begin,
                                   a.column_stride, count, k, packed_a_, plan_.a_row);
            return {packed_a_, plan_.a_row, 1, kernels_.rows * plan_.a_row};
        }
        if (a.row_stride == 1 && a.column_stride != 1) {
            if (!plan_.pack_a) {
                const float* source =
                    static_cast<const float*>(a.data) + rows.begin + steps.begin * a.column_stride;
                return {source, 1, a.column_stride, kernels_.rows};
            }
            pack_across(a, a.column_stride, steps, rows.begin, count, kernels_.rows, packed_a_);
            return {packed_a_, 1, panel_step(kernels_.rows), panel_size(k, kernels_.rows)};
        }
        const int64_t row_bytes = a.row_stride * a.element_size();
        const char* source =
            static_cast<const char*>(a.data) + rows.begin * row_bytes + steps.begin * step_bytes(a);
        if (!plan_.pack_a) {
            const int64_t row = row_bytes / static_cast<int64_t>(sizeof(float));
            return {reinterpret_cast<const float*>(source), row, 1, kernels_.rows * row};
        }
        if (narrow(a)) {
            pack_rows(kernels_.isa, reinterpret_cast<const BFloat16*>(source), a.row_stride, count,
                      k, packed_a_, plan_.a_row);
        } else {
            for (int64_t i = 0; i < count; ++i)
                std::memcpy(packed_a_ + i * plan_.a_row, source + i * row_bytes,
                            static_cast<size_t>(k) * sizeof(float));
        }
        return {packed_a_, plan_.a_row, 1, kernels_.rows * plan_.a_row};
    }

    // Every tile of a row block over one step block. `first_row` is where the kept sums start.
    void multiply(const Rows& a, Range steps, Range rows, int64_t first_row, Range columns) {
        const int64_t k = steps.end - steps.begin;
        const int64_t row_tiles = ceil_div(rows.end - rows.begin, kernels_.rows);
        const int64_t panel = panel_size(k, kernels_.columns);
        for (int64_t j = columns.begin; j < columns.end; j += kernels_.columns) {
            const int64_t column = j - columns.begin;  // inside the block
            GemmTile tile = {};
            tile.k = k;
            tile.a = a.data;
            tile.a_row = a.row;
            tile.a_step = a.step;
            tile.b = packed_b_ + column / kernels_.columns * panel;
            tile.alpha = static_cast<float>(problem_.alpha);
            if (problem_.bias != nullptr && steps.begin == 0) tile.bias = bias_ + column;
            tile.next_b = tile.b + panel;
            if (j + kernels_.columns < columns.end)
                tile.next_b_lines = ceil_div(ceil_div(panel, kFloatsPerLine), row_tiles);
            for (int64_t i = rows.begin; i < rows.end; i += kernels_.rows) {
                compute_tile(tile, steps, {i, std::min(i + kernels_.rows, rows.end)},
                             {j, std::min(j + kernels_.columns, columns.end)},
                             sums_ + (i - first_row) * plan_.column_block + column);
                tile.a += a.tile;
                tile.next_b += tile.next_b_lines * kFloatsPerLine;
            }
        }
    }

    void compute_tile(GemmTile& tile, Range steps, Range rows, Range columns, float* kept) {
        const bool first = steps.begin == 0, last = steps.end == plan_.steps;
        const int64_t height = rows.end - rows.begin, width = columns.end - columns.begin;
        const auto& compute = kernels_.tiles[static_cast<size_t>(height - 1)];
        const int64_t offset = rows.begin * problem_.c_row_stride + columns.begin;
        if (problem_.c_dtype == DType::F32 && width == kernels_.columns) {
            tile.c = static_cast<float*>(problem_.c) + offset;
            tile.c_row = problem_.c_row_stride;
            tile.add = problem_.accumulate || !first;
            return compute(tile);
        }
        tile.c = plan_.keep_sums ? kept : sums_;
        tile.c_row = plan_.keep_sums ? plan_.column_block : kernels_.columns;
        tile.add = plan_.keep_sums && !first;
        compute(tile);
        if (problem_.c_dtype == DType::F32) {
            store_sums(kernels_.isa, tile.c, tile.c_row, height, width,
                       problem_.accumulate || !first, static_cast<float*>(problem_.c) + offset,
                       problem_.c_row_stride);
        } else if (last) {
            store_sums(kernels_.isa, tile.c, tile.c_row, height, width, problem_.accumulate,
                       static_cast<BFloat16*>(problem_.c) + offset, problem_.c_row_stride);
        }
    }

    const GemmKernels& kernels_;
    const GemmProblem& problem_;
    const GemmPlan& plan_;
    float* packed_b_;
    float* packed_a_;
    float* sums_;  // one tile, or all of a block if plan.keep_sums
    float* bias_;
};

}  // namespace

GemmKernels gemm_kernels([[maybe_unused]] Isa isa, [[maybe_unused]] const GemmProblem& problem) {
#if defined(__x86_64__)
    // On AMD (Zen 4, 5) the dot product of pairs does twice the work of a multiply-add per cycle;
    // on Intel (Sapphire and Emerald Rapids) half of it: one in two cycles.
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
    plan.steps = kernels.pairs ? problem.k / 2 : problem.k;
    const int64_t blocks = ceil_div(plan.steps, kernels.step_block);
    plan.step_block = std::min(round_up(ceil_div(plan.steps, blocks), kStepMultiple), plan.steps);

    const bool narrow = problem.a.dtype == DType::BF16 && !kernels.pairs;
    const int64_t row_bytes = problem.a.row_stride * problem.a.element_size();
    if (problem.a.column_stride == 1) {
        plan.pack_a = narrow || row_bytes % kSetStride == 0 ||
                      row_bytes % static_cast<int64_t>(sizeof(float)) != 0;
    } else {
        plan.pack_a = problem.a.dtype == DType::BF16 || problem.n > kFewColumns;
    }
    plan.keep_sums = problem.c_dtype == DType::BF16 && blocks > 1;
    choose_parts(kernels, problem, threads, plan);

    plan.part_rows = plan.keep_sums ? kSumRows : problem.m;
    const int64_t rows = std::min(
        plan.part_rows, ceil_div(ceil_div(problem.m, kernels.rows), plan.row_parts) * kernels.rows);
    plan.row_block = round_up(ceil_div(rows, ceil_div(rows, kernels.row_block)), kernels.rows);
    plan.column_block = std::min(plan.keep_sums ? kSumColumns : kPackedSize / kernels.step_block,
                                 round_up(problem.n, kernels.columns));
    plan.a_row = plan.step_block + kRowPadding;
    const int64_t row_tiles = plan.row_block / kernels.rows;
    const int64_t a_panels = row_tiles * panel_size(plan.step_block, kernels.rows);
    plan.a_size = plan.pack_a ? std::max(plan.row_block * plan.a_row, a_panels) : 0;
    plan.b_size =
        plan.column_block / kernels.columns * panel_size(plan.step_block, kernels.columns);
    plan.c_size = plan.keep_sums
                      ? std::min(kSumRows, round_up(problem.m, kernels.rows)) * plan.column_block
                      : kernels.rows * kernels.columns;
    return plan;
}

int64_t GemmPlan::workspace() const {
    return b_size + a_size + c_size + column_block;
}

void gemm_part(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
               int64_t part, float* workspace) {
    const int64_t row_part = part / plan.column_parts, column_part = part % plan.column_parts;
    Part(kernels, problem, plan, workspace)
        .run(part_range(row_part, plan.row_parts, problem.m, kernels.rows),
             part_range(column_part, plan.column_parts, problem.n, kernels.columns));
    if (kernels.release != nullptr) kernels.release();
}

}  // namespace vila::cpu_kernels
