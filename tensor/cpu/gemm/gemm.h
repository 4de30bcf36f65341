#pragma once

// The blocked matrix product (GEMM) that matmul calls: the table of machine-specific kernels, one
// per instruction set, and the machine-neutral driver in gemm.cpp that calls them.
//
// Names are those of BLIS. A tile is the part of c that a micro-kernel computes in registers, mr
// rows by nr columns. kc, mc and nc are the block sizes along k, m and n. The strides of a matrix
// are distances in elements. VNNI pairs are two bf16, neighbors along k, in one 32-bit word.
//
// Reading order: gemm.cpp (the blocking, with its reasons), avx512.cpp (the micro-kernel), amx.cpp
// (the micro-kernel with a processor's matrix instructions), pack.h (copies into the layout that
// micro-kernels read), gemv.cpp (few rows), run.cpp (threads and workspace).

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>

#include "tensor/cpu/cpu_device.h"
#include "tensor/gemm_problem.h"

namespace vila::cpu_kernels {

// The shape for which the tile registers (AMX) of a thread are configured: the rows of a tile, or
// the rows of weights and of x of a skinny panel; all zero before the first use. Kernels configure
// the registers only when the shape changes. Kernels without tile registers ignore it.
struct TileRegisters {
    int64_t rows = 0, x_rows = 0;
    bool operator==(const TileRegisters&) const = default;
};

// One tile of c: some rows (fixed by the function) by nr columns, over one block of k. Where a
// kernel multiplies VNNI pairs, a "float" of a and b holds a pair and k counts pairs.
struct GemmTile {
    int64_t k;
    const float* a;  // element (i, p) at a + i * a_row_stride + p * a_k_stride
    int64_t a_row_stride, a_k_stride;
    const float* b;  // packed: element (p, j) at b + p * nr + j
    float* c;        // element (i, j) at c + i * c_row_stride + j
    int64_t c_row_stride;
    float alpha;
    const float* bias;  // (nr), added to every row; or null
    bool accumulate;    // add to c; else overwrite it
    // Cache lines of the next panel of b, which the kernel prefetches while it computes.
    const float* next_b;
    int64_t next_b_lines;
    TileRegisters* registers;
};

// A panel of c with few rows, `columns` columns wide. Each column of b runs along k and is read in
// place, once. The kernel sums exactly as a GemmTile does for each block of k, so that a row of c
// has the same bits either way.
constexpr int64_t kVectorSkinnyRows = 4;  // at most, in kernels with vector registers
constexpr int64_t kMaxSkinnyRows = 16;    // at most, in any kernel
struct SkinnyPanel {
    GemmTile tile;    // all of k, without b and next_b; c has room for nr columns
    int64_t kc;       // the block of k that is summed before alpha, bias and c
    int64_t k_bytes;  // bytes of b per k
    const void* b;    // column j begins at b + j * column_bytes
    int64_t column_bytes, columns;
    const char* next_b;  // the columns after these, which the kernel prefetches
};

// Makes a kernel for all of k from kBlock, which computes a single block of k.
template <void (*kBlock)(const SkinnyPanel&)>
void over_k_blocks(const SkinnyPanel& panel) {
    SkinnyPanel block = panel;
    for (int64_t p = 0; p < panel.tile.k; p += panel.kc) {
        block.tile.k = std::min(panel.kc, panel.tile.k - p);
        block.tile.a = panel.tile.a + p;
        block.tile.bias = p == 0 ? panel.tile.bias : nullptr;
        block.tile.accumulate = p > 0 || panel.tile.accumulate;
        block.b = static_cast<const char*>(panel.b) + p * panel.k_bytes;
        const int64_t next = p + block.tile.k;
        block.next_b = next < panel.tile.k
                           ? static_cast<const char*>(panel.b) + next * panel.k_bytes
                           : panel.next_b;
        kBlock(block);
    }
}

// The block sizes of kernels with vector registers.
constexpr int64_t kVectorKc = 384, kVectorMc = 448;

struct GemmKernels {
    Isa isa;
    int64_t mr, nr;                                   // rows and columns of the largest tile
    int64_t kc, mc;                                   // largest blocks of k and m: see gemm.cpp
    bool vnni_pairs;                                  // multiplies pairs of bf16, not f32
    std::span<void (*const)(const GemmTile&)> tiles;  // tiles[r - 1] computes r rows

    // Transposes `count` <= nr rows of k elements, `row_bytes` apart, into a packed panel: element
    // (j, p) goes to panel[p * nr + j]; columns from `count` on become zero. The second one
    // converts bf16 to f32.
    void (*transpose)(const void* source, int64_t row_bytes, int64_t count, int64_t k,
                      float* panel);
    void (*transpose_bf16)(const void* source, int64_t row_bytes, int64_t count, int64_t k,
                           float* panel);

    // skinny[r - 1] computes r rows; skinny_bf16 reads b in bf16. Their length is the largest
    // number of rows; they are empty where nothing is faster than packing and tiles.
    std::span<void (*const)(const SkinnyPanel&)> skinny, skinny_bf16;
    // Whether skinny kernels take a with its rows side by side: element (i, p) at p * rows + i.
    // Else the rows follow each other.
    bool skinny_a_is_k_major = false;

    // For tiles that need a_k_stride == 1, else null: packs a matrix whose rows run across k into
    // rows of VNNI pairs. For i < count and p < pairs, out[i * out_row_stride + p] becomes elements
    // (2 p, i) and (2 p + 1, i) of `source`.
    void (*pack_vnni_rows)(const BFloat16* source, int64_t row_stride, int64_t count, int64_t pairs,
                           float* out, int64_t out_row_stride) = nullptr;
    // Frees the thread's tile registers after its last kernel; null where there are none.
    void (*release)(TileRegisters& registers) = nullptr;
};

GemmKernels gemm_kernels_portable();
#if defined(__x86_64__)
GemmKernels gemm_kernels_avx2();
GemmKernels gemm_kernels_avx512();
GemmKernels gemm_kernels_avx512_bf16();
GemmKernels gemm_kernels_amx();
#endif
// The best kernels for a problem. For bf16 and an even k these are AMX, or AVX512-BF16 where the
// processor's dot product of pairs is faster than its f32 multiply-add; else those with the widest
// vectors of `isa`.
GemmKernels gemm_kernels(Isa isa, const GemmProblem& problem);

// The blocking of one problem; see gemm.cpp. k, kc and the sizes count VNNI pairs as one float.
struct GemmPlan {
    int64_t row_parts, column_parts;  // of c: parts are independent and run in parallel
    int64_t k, kc;                    // of the problem, and of a block
    int64_t mc;                       // rows of a that stay in the cache
    int64_t part_rows, nc;            // of c computed together, over all of k
    bool pack_a;                      // copy a; else read it in place
    bool keep_sums;                   // keep f32 sums between blocks of k, beside a bf16 c
    // Floats in the workspace: the row stride of packed a, and the sizes of the buffers.
    int64_t a_row_stride, b_size, a_size, c_size;
    int64_t parts() const { return row_parts * column_parts; }
    // Floats of workspace that a thread needs.
    int64_t workspace() const;
};
GemmPlan plan_gemm(const GemmKernels& kernels, const GemmProblem& problem, int64_t threads);

// Computes one part of c (k > 0). The result is the same to the bit whichever thread computes it.
void gemm_part(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
               int64_t part, float* workspace);

// A few rows of a, as skinny kernels read them: element (i, p) at data + i * row_stride + p *
// k_stride.
struct SkinnyRows {
    const float* data;
    int64_t row_stride, k_stride;
};
// Copies a into out (problem.m * plan.k floats).
SkinnyRows pack_skinny_rows(const GemmKernels& kernels, const GemmProblem& problem,
                            const GemmPlan& plan, float* out);
// Computes columns [begin, end) of c, for at most kernels.skinny.size() rows of a and a transposed
// b (rows of weights, each read once).
void gemv_columns(const GemmKernels& kernels, const GemmProblem& problem, const GemmPlan& plan,
                  const SkinnyRows& a, int64_t begin, int64_t end);

// Computes problem(0) to problem(count - 1), which differ only in addresses, on the threads of the
// device. k > 0. a, b, bias and c are f32 or bf16 each.
void gemm(CpuDevice& device, int64_t count, const std::function<GemmProblem(int64_t)>& problem);

}  // namespace vila::cpu_kernels
