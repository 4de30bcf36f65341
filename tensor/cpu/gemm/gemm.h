#pragma once

// The blocked matrix product below matmul: what a problem is, and the table of machine-specific
// pieces (one per instruction set) that the machine-neutral driver in gemm.cpp puts together.
//
// Reading order: gemm.cpp (the blocking, with its reasons), gemm_avx512.cpp (the inner loop),
// gemm_amx.cpp (the same with a processor's matrix instructions), gemm_pack.h (copies into the
// layout the inner loop wants), gemv.cpp (few rows), gemm_run.cpp (threads and workspace).

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>

#include "tensor/cpu/cpu_device.h"
#include "tensor/gemm_problem.h"

namespace vila::cpu_kernels {

// One tile of c: some rows (fixed by the function) by GemmKernels::columns columns, over one block
// of k. Where a kernel multiplies pairs of bf16, a "float" of a and b holds a pair along k.
struct GemmTile {
    int64_t k;
    const float* a;  // element (i, p) at a + i * a_row + p * a_step
    int64_t a_row, a_step;
    const float* b;  // packed: element (p, j) at b + p * columns + j
    float* c;        // element (i, j) at c + i * c_row + j
    int64_t c_row;
    float alpha;
    const float* bias;  // (columns), added to every row; or null
    bool add;           // to c; else c is overwritten
    // For the kernel to prefetch while it computes: cache lines of the next panel of b.
    const float* next_b;
    int64_t next_b_lines;
};

// A tile of a few rows whose b is read where it lies, once: `columns` of b, each running along k.
// Sums exactly as a GemmTile for each block of k does, so that the same row of c has the same bits
// either way.
constexpr int64_t kStripRows = 4;       // of vector registers
constexpr int64_t kMostStripRows = 16;  // of any
struct GemmStrip {
    GemmTile tile;       // all of k, without b and next_b; c has room for GemmKernels::columns
    int64_t step_block;  // steps of k that are summed before alpha, bias and c
    int64_t step_bytes;  // of b
    const void* b;       // column j begins at b + j * column_bytes
    int64_t column_bytes, columns;
    const char* next_b;  // for the kernel to prefetch while it computes: where b goes on
};

// A strip of all of k from one that computes a single block.
template <void (*kBlock)(const GemmStrip&)>
void strip_by_blocks(const GemmStrip& strip) {
    GemmStrip block = strip;
    for (int64_t p = 0; p < strip.tile.k; p += strip.step_block) {
        block.tile.k = std::min(strip.step_block, strip.tile.k - p);
        block.tile.a = strip.tile.a + p;
        block.tile.bias = p == 0 ? strip.tile.bias : nullptr;
        block.tile.add = p > 0 || strip.tile.add;
        block.b = static_cast<const char*>(strip.b) + p * strip.step_bytes;
        const int64_t next = p + block.tile.k;
        block.next_b = next < strip.tile.k
                           ? static_cast<const char*>(strip.b) + next * strip.step_bytes
                           : strip.next_b;
        kBlock(block);
    }
}

// For tiles of vector registers.
constexpr int64_t kStepBlock = 384, kRowBlock = 448;

struct GemmKernels {
    Isa isa;
    int64_t rows, columns;                            // of the largest tile
    int64_t step_block, row_block;                    // that caches hold: see gemm.cpp
    bool pairs;                                       // multiplies pairs of bf16, not f32
    std::span<void (*const)(const GemmTile&)> tiles;  // tiles[r - 1] computes r rows

    // Transposes `count` <= columns rows of k elements, `row_bytes` apart, into a packed panel:
    // element (j, p) goes to panel[p * columns + j]; columns from `count` on become zero. The
    // second one converts bf16 to f32 on the way.
    void (*transpose)(const void* source, int64_t row_bytes, int64_t count, int64_t k,
                      float* panel);
    void (*transpose_bf16)(const void* source, int64_t row_bytes, int64_t count, int64_t k,
                           float* panel);

    // strips[r - 1] computes r rows, as many as there are; the second ones read b in bf16. Empty
    // where nothing is faster than packing and tiles.
    std::span<void (*const)(const GemmStrip&)> strips, strips_bf16;
    // Strips take the rows of a side by side, step after step; else one after the other.
    bool strips_side_by_side = false;

    // For tiles that take a along k alone (a_step == 1), else null: makes rows of pairs of a matrix
    // whose rows run across k. out[i * out_row + p] becomes elements (2 p, i) and (2 p + 1, i) of
    // `source`, for i < count and p < steps.
    void (*rows_of_pairs)(const BFloat16* source, int64_t row, int64_t count, int64_t steps,
                          float* out, int64_t out_row) = nullptr;
    // What a thread does after its last tile or strip; or null.
    void (*release)() = nullptr;
};

GemmKernels gemm_kernels_portable();
#if defined(__x86_64__)
GemmKernels gemm_kernels_avx2();
GemmKernels gemm_kernels_avx512();
GemmKernels gemm_kernels_avx512_bf16();
GemmKernels gemm_kernels_amx();
#endif
// The best pieces for a problem: for bf16 and an even k AMX, or AVX512-BF16 where the processor's
// dot product of pairs is faster than its f32 multiply-add; else the widest vectors of `isa`.
GemmKernels gemm_kernels(Isa isa, const GemmProblem& problem);

// How one problem is cut up; see gemm.cpp.
struct GemmPlan {
    int64_t row_parts, column_parts;        // of c: parts are independent and run in parallel
    int64_t steps, step_block;              // k in steps of one float of a packed operand
    int64_t row_block;                      // of a that stay in the cache
    int64_t part_rows, column_block;        // of c computed together, all steps
    bool pack_a, keep_sums;                 // copy a; sum over step blocks in f32 beside c
    int64_t a_row, b_size, a_size, c_size;  // floats in the workspace
    int64_t parts() const { return row_parts * column_parts; }
    int64_t workspace() const;  // floats a thread needs
};
GemmPlan plan_gemm(const GemmKernels& kernels, const GemmProblem& problem, int64_t threads);

// Computes one part of c (k > 0). Which part is computed by whom does not change a bit.
void gemm_part(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
               int64_t part, float* workspace);

// The steps of a few rows of a, as strips take them: element (i, p) at data + i * row + p * step.
struct StripRows {
    const float* data;
    int64_t row, step;
};
// Copies a into out (problem.m * plan.steps).
StripRows copy_strip_rows(const GemmKernels& kernels, const GemmProblem& problem,
                          const GemmPlan& plan, float* out);
// c for as many rows of a as there are strips and a transposed b (rows of weights, read once):
// columns [begin, end).
void gemv_columns(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
                  const StripRows& a, int64_t begin, int64_t end);

// Computes problem(0) to problem(count - 1), which differ in addresses only (k > 0), on the threads
// of the device.
void gemm(CpuDevice& device, int64_t count, const std::function<GemmProblem(int64_t)>& problem);

}  // namespace vila::cpu_kernels
