// The blocking of the matrix product c = a b (Goto and van de Geijn 2008, Van Zee and van de Geijn
// 2015), for a core with 48 KiB of first-level and 2 MiB of second-level cache.
//
//   loop           block            reason
//   parts          rows, columns    threads work alone: no barrier, no shared buffer
//   nc  columns    kPackedSize of b the packed block of b is bounded: 6 MiB, third level
//   kc  of k       384              a panel of b, 384 x 32 f32 = 48 KiB, stays in or near the
//                                   first level while the rows of a stream past it
//   mc  rows       448              the block of a, 448 x 384 f32 = 672 KiB, stays in the second
//                                   level while the panels of b stream past it
//   nr  columns    32               one panel of b
//   mr  rows       14               14 x 32 sums in registers: avx512.cpp
//
// (Tile registers sum so fast that access to c limits them: kc is 1024 and mc 224 there.)
//
// b is always packed into panels: for each k, the 32 elements side by side. a is read in place if
// its rows run along k. It is copied where the micro-kernel could not read it well: a transposed, a
// in bf16, or rows 4 KiB apart, which all map to the same sets of the first-level cache.
//
// An element of c is the sum over the blocks of k, in order, of one chain of multiply-adds over the
// k of a block (tile registers have an order of their own: amx.cpp). Parts cut rows and columns
// only, at tile edges, and the blocks of k depend on k alone. So any number of threads computes the
// same bits, and a row of c has the same bits whatever the number of rows, few (gemv.cpp) or many.
// bf16 is converted to f32 while packing (products of bf16 are exact in f32) unless the kernels
// multiply VNNI pairs; sums are f32 and rounded once.
//
// BENCHMARKS.md lists the speed; `vila bench gemm` measures it.

#include "tensor/cpu/gemm/gemm.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/gemm/pack.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

namespace {

constexpr int64_t kFloatsPerLine = 16;

struct Range {
    int64_t begin, end;
};
// Part number `part` when [0, limit) is cut into `parts`, at multiples of `size`.
Range part_range(int64_t part, int64_t parts, int64_t limit, int64_t size) {
    const int64_t tiles = ceil_div(limit, size);
    return {std::min(tiles * part / parts * size, limit),
            std::min(tiles * (part + 1) / parts * size, limit)};
}

// Computes one part of c, in the buffers of one thread.
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
            for (int64_t j = columns.begin; j < columns.end; j += plan_.nc) {
                run_block({i, std::min(i + plan_.part_rows, rows.end)},
                          {j, std::min(j + plan_.nc, columns.end)});
            }
        }
        if (kernels_.release != nullptr) kernels_.release(registers_);
    }

  private:
    // Whether packing converts x from bf16 to f32.
    bool converts(const MatrixView& x) const {
        return x.dtype == DType::BF16 && !kernels_.vnni_pairs;
    }
    // Bytes between neighbors along k, where they lie side by side.
    int64_t k_bytes(const MatrixView& x) const {
        return x.element_size() * (kernels_.vnni_pairs ? 2 : 1);
    }

    // Rows of a as the micro-kernel reads them: element (i, p) at data + i * row_stride + p *
    // k_stride.
    struct Rows {
        const float* data;
        int64_t row_stride, k_stride;
        int64_t tile_stride;  // from the rows of one tile to those of the next
    };

    void run_block(Range rows, Range columns) {
        pack_bias(columns);
        for (int64_t p = 0; p < plan_.k; p += plan_.kc) {
            const Range ks = {p, std::min(p + plan_.kc, plan_.k)};
            pack_b(ks, columns);
            for (int64_t i = rows.begin; i < rows.end; i += plan_.mc) {
                const Range block = {i, std::min(i + plan_.mc, rows.end)};
                multiply(pack_a(ks, block), ks, block, rows.begin, columns);
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
        std::fill(bias_ + count, bias_ + round_up(count, kernels_.nr), 0.0F);
    }

    void pack_b(Range ks, Range columns) {
        const MatrixView& b = problem_.b;
        const int64_t count = columns.end - columns.begin, k = ks.end - ks.begin;
        if (b.column_stride == 1) {
            pack_across(b, b.row_stride, ks, columns.begin, count, kernels_.nr, packed_b_);
            return;
        }
        const int64_t size = panel_size(k, kernels_.nr);
        const auto transpose = converts(b) ? kernels_.transpose_bf16 : kernels_.transpose;
        const int64_t row_bytes = b.column_stride * b.element_size();
        const char* source =
            static_cast<const char*>(b.data) + columns.begin * row_bytes + ks.begin * k_bytes(b);
        for (int64_t j = 0; j < count; j += kernels_.nr) {
            const int64_t filled = std::min(kernels_.nr, count - j);
            transpose(source + j * row_bytes, row_bytes, filled, k,
                      packed_b_ + j / kernels_.nr * size);
        }
    }

    // Packs a matrix whose rows run across the panels.
    void pack_across(const MatrixView& x, int64_t row_stride, Range ks, int64_t begin,
                     int64_t count, int64_t width, float* panels) {
        const int64_t k = ks.end - ks.begin;
        const auto pack = [&](auto element) {
            element.source += begin;
            pack_panels(kernels_.isa, element, k, count, width, panels);
        };
        const auto* f32 = static_cast<const float*>(x.data);
        const auto* bf16 = static_cast<const BFloat16*>(x.data);
        if (kernels_.vnni_pairs)
            return pack(VnniPair{bf16 + 2 * ks.begin * row_stride, row_stride});
        if (converts(x))
            return pack(RowElement<BFloat16>{bf16 + ks.begin * row_stride, row_stride});
        pack(RowElement<float>{f32 + ks.begin * row_stride, row_stride});
    }

    Rows pack_a(Range ks, Range rows) {
        const MatrixView& a = problem_.a;
        const int64_t count = rows.end - rows.begin, k = ks.end - ks.begin;
        if (a.row_stride == 1 && a.column_stride != 1 && kernels_.pack_vnni_rows != nullptr) {
            kernels_.pack_vnni_rows(
                static_cast<const BFloat16*>(a.data) + 2 * ks.begin * a.column_stride + rows.begin,
                a.column_stride, count, k, packed_a_, plan_.a_row_stride);
            return {packed_a_, plan_.a_row_stride, 1, kernels_.mr * plan_.a_row_stride};
        }
        if (a.row_stride == 1 && a.column_stride != 1) {
            if (!plan_.pack_a) {
                const float* source =
                    static_cast<const float*>(a.data) + rows.begin + ks.begin * a.column_stride;
                return {source, 1, a.column_stride, kernels_.mr};
            }
            pack_across(a, a.column_stride, ks, rows.begin, count, kernels_.mr, packed_a_);
            return {packed_a_, 1, panel_stride(kernels_.mr), panel_size(k, kernels_.mr)};
        }
        const int64_t row_bytes = a.row_stride * a.element_size();
        const char* source =
            static_cast<const char*>(a.data) + rows.begin * row_bytes + ks.begin * k_bytes(a);
        if (!plan_.pack_a) {
            const int64_t row = row_bytes / static_cast<int64_t>(sizeof(float));
            return {reinterpret_cast<const float*>(source), row, 1, kernels_.mr * row};
        }
        if (converts(a)) {
            pack_rows(kernels_.isa, reinterpret_cast<const BFloat16*>(source), a.row_stride, count,
                      k, packed_a_, plan_.a_row_stride);
        } else {
            for (int64_t i = 0; i < count; ++i)
                std::memcpy(packed_a_ + i * plan_.a_row_stride, source + i * row_bytes,
                            static_cast<size_t>(k) * sizeof(float));
        }
        return {packed_a_, plan_.a_row_stride, 1, kernels_.mr * plan_.a_row_stride};
    }

    // Computes every tile of a block of rows, over one block of k. The kept sums begin at
    // `first_row`.
    void multiply(const Rows& a, Range ks, Range rows, int64_t first_row, Range columns) {
        const int64_t k = ks.end - ks.begin;
        const int64_t row_tiles = ceil_div(rows.end - rows.begin, kernels_.mr);
        const int64_t panel = panel_size(k, kernels_.nr);
        for (int64_t j = columns.begin; j < columns.end; j += kernels_.nr) {
            const int64_t column = j - columns.begin;  // inside the block
            GemmTile tile = {};
            tile.k = k;
            tile.registers = &registers_;
            tile.a = a.data;
            tile.a_row_stride = a.row_stride;
            tile.a_k_stride = a.k_stride;
            tile.b = packed_b_ + column / kernels_.nr * panel;
            tile.alpha = static_cast<float>(problem_.alpha);
            if (problem_.bias != nullptr && ks.begin == 0) tile.bias = bias_ + column;
            tile.next_b = tile.b + panel;
            if (j + kernels_.nr < columns.end)
                tile.next_b_lines = ceil_div(ceil_div(panel, kFloatsPerLine), row_tiles);
            for (int64_t i = rows.begin; i < rows.end; i += kernels_.mr) {
                compute_tile(tile, ks, {i, std::min(i + kernels_.mr, rows.end)},
                             {j, std::min(j + kernels_.nr, columns.end)},
                             sums_ + (i - first_row) * plan_.nc + column);
                tile.a += a.tile_stride;
                tile.next_b += tile.next_b_lines * kFloatsPerLine;
            }
        }
    }

    void compute_tile(GemmTile& tile, Range ks, Range rows, Range columns, float* kept) {
        const bool first = ks.begin == 0, last = ks.end == plan_.k;
        const int64_t height = rows.end - rows.begin, width = columns.end - columns.begin;
        const auto& compute = kernels_.tiles[static_cast<size_t>(height - 1)];
        const int64_t offset = rows.begin * problem_.c_row_stride + columns.begin;
        if (problem_.c_dtype == DType::F32 && width == kernels_.nr) {
            tile.c = static_cast<float*>(problem_.c) + offset;
            tile.c_row_stride = problem_.c_row_stride;
            tile.accumulate = problem_.accumulate || !first;
            return compute(tile);
        }
        tile.c = plan_.keep_sums ? kept : sums_;
        tile.c_row_stride = plan_.keep_sums ? plan_.nc : kernels_.nr;
        tile.accumulate = plan_.keep_sums && !first;
        compute(tile);
        if (problem_.c_dtype == DType::F32) {
            store_sums(kernels_.isa, tile.c, tile.c_row_stride, height, width,
                       problem_.accumulate || !first, static_cast<float*>(problem_.c) + offset,
                       problem_.c_row_stride);
        } else if (last) {
            store_sums(kernels_.isa, tile.c, tile.c_row_stride, height, width, problem_.accumulate,
                       static_cast<BFloat16*>(problem_.c) + offset, problem_.c_row_stride);
        }
    }

    const GemmKernels& kernels_;
    const GemmProblem& problem_;
    const GemmPlan& plan_;
    float* packed_b_;
    float* packed_a_;
    float* sums_;  // of one tile, or of all of a block if plan.keep_sums
    float* bias_;
    TileRegisters registers_;
};

}  // namespace

void gemm_part(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
               int64_t part, float* workspace) {
    const int64_t row_part = part / plan.column_parts, column_part = part % plan.column_parts;
    Part(kernels, problem, plan, workspace)
        .run(part_range(row_part, plan.row_parts, problem.m, kernels.mr),
             part_range(column_part, plan.column_parts, problem.n, kernels.nr));
}

}  // namespace vila::cpu_kernels
