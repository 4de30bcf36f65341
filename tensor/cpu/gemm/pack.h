#pragma once

// Copies between matrices as they lie in memory and what the inner loop of gemm reads and writes.
// Plain loops, vectorised for the instruction set they are called with. The one copy that is not
// here, the transposition, needs shuffles: it is in gemm_avx512.cpp and gemm_avx2.cpp.

#include <algorithm>
#include <bit>

#include "tensor/cpu/simd.h"

namespace vila::cpu_kernels {

// out[i * out_row + p] = source[i * row + p], as f32.
template <typename T>
void pack_rows(Isa isa, const T* source, int64_t row, int64_t rows, int64_t steps, float* out,
               int64_t out_row) {
    with_isa(isa, [=] {
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t p = 0; p < steps; ++p)
                out[i * out_row + p] = static_cast<float>(source[i * row + p]);
    });
}

// One step of a panel: elements [0, count) of a row of the matrix, zeros up to the panel's width.
template <typename T>
struct PanelStep {
    const T* source;
    int64_t row;

    VILA_ALWAYS_INLINE float operator()(int64_t step, int64_t j) const {
        return static_cast<float>(source[step * row + j]);
    }
};
// The same for pairs along k: rows 2 step and 2 step + 1 interleaved.
struct PairStep {
    const BFloat16* source;
    int64_t row;

    VILA_ALWAYS_INLINE float operator()(int64_t step, int64_t j) const {
        const uint32_t low = source[2 * step * row + j].bits;
        const uint32_t high = source[(2 * step + 1) * row + j].bits;
        return std::bit_cast<float>(low | high << 16);
    }
};

// Elements from one step of a panel to the next: whole vectors, so that no store crosses a cache
// line.
constexpr int64_t panel_step(int64_t width) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(width)));
}
// Elements from one panel of `steps` steps to the next.
constexpr int64_t panel_size(int64_t steps, int64_t width) {
    return steps * panel_step(width) + 16;
}

// kWidth 0: known at run time only. Else whole steps are copied where the matrix has so many
// elements; nobody reads those beyond the width.
template <int64_t kWidth, typename Step>
VILA_ALWAYS_INLINE void pack_panels_of(const Step& step, int64_t steps, int64_t count,
                                       int64_t width, float* panels, int64_t panel_size) {
    if (kWidth != 0) width = kWidth;
    constexpr int64_t kCopied = kWidth == 0 ? 0 : panel_step(kWidth);
    const int64_t step_size = panel_step(width);
    // A few rows at a time: the next panel finds the rest of their cache lines still there.
    constexpr int64_t kRowsAtOnce = 8;
    for (int64_t first = 0; first < steps; first += kRowsAtOnce) {
        const int64_t last = std::min(first + kRowsAtOnce, steps);
        float* panel = panels;
        for (int64_t j = 0; j < count; j += width, panel += panel_size) {
            if (kCopied != 0 && j + kCopied <= count) {
                for (int64_t p = first; p < last; ++p)
                    for (int64_t i = 0; i < kCopied; ++i) panel[p * step_size + i] = step(p, j + i);
                continue;
            }
            const int64_t filled = std::min(width, count - j);
            for (int64_t p = first; p < last; ++p)
                for (int64_t i = 0; i < width; ++i)
                    panel[p * step_size + i] = i < filled ? step(p, j + i) : 0.0F;
        }
    }
}

// Cuts `count` columns into panels of `width`: element (p, j) of a panel at panel[p *
// panel_step(width) + j], the last one filled up with zeros.
template <typename Step>
void pack_panels(Isa isa, const Step& step, int64_t steps, int64_t count, int64_t width,
                 float* panels) {
    const int64_t size = panel_size(steps, width);
    with_isa(isa, [=] {
        switch (width) {
            case 6:
                return pack_panels_of<6>(step, steps, count, width, panels, size);
            case 14:
                return pack_panels_of<14>(step, steps, count, width, panels, size);
            case 16:
                return pack_panels_of<16>(step, steps, count, width, panels, size);
            case 32:
                return pack_panels_of<32>(step, steps, count, width, panels, size);
            default:
                return pack_panels_of<0>(step, steps, count, width, panels, size);
        }
    });
}

// c = sums [+ c], rounded once.
template <typename Out>
void store_sums(Isa isa, const float* sums, int64_t sums_row, int64_t rows, int64_t columns,
                bool add, Out* c, int64_t c_row) {
    with_isa(isa, [=] {
        for (int64_t i = 0; i < rows; ++i) {
            const float* sums_i = sums + i * sums_row;
            Out* c_i = c + i * c_row;
            if (add) {
                for (int64_t j = 0; j < columns; ++j)
                    c_i[j] = static_cast<Out>(sums_i[j] + static_cast<float>(c_i[j]));
            } else {
                for (int64_t j = 0; j < columns; ++j) c_i[j] = static_cast<Out>(sums_i[j]);
            }
        }
    });
}

}  // namespace vila::cpu_kernels
