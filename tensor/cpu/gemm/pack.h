#pragma once

// Copies between matrices in memory and the packed layout that the micro-kernels of gemm read.
// Plain loops, vectorized for the instruction set they are called with. The transposition needs
// shuffles: it is in avx512.cpp and avx2.cpp.

#include <algorithm>
#include <bit>

#include "tensor/cpu/simd.h"

namespace vila::cpu_kernels {

// out[i * out_row_stride + p] = source[i * row_stride + p] for i < rows and p < k, as f32.
template <typename T>
void pack_rows(Isa isa, const T* source, int64_t row_stride, int64_t rows, int64_t k, float* out,
               int64_t out_row_stride) {
    with_isa(isa, [=] {
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t p = 0; p < k; ++p)
                out[i * out_row_stride + p] = static_cast<float>(source[i * row_stride + p]);
    });
}

// Element j of row p of a matrix, as f32.
template <typename T>
struct RowElement {
    const T* source;
    int64_t row_stride;

    VILA_ALWAYS_INLINE float operator()(int64_t p, int64_t j) const {
        return static_cast<float>(source[p * row_stride + j]);
    }
};
// Elements j of rows 2 p and 2 p + 1, as a VNNI pair.
struct VnniPair {
    const BFloat16* source;
    int64_t row_stride;

    VILA_ALWAYS_INLINE float operator()(int64_t p, int64_t j) const {
        const uint32_t low = source[2 * p * row_stride + j].bits;
        const uint32_t high = source[(2 * p + 1) * row_stride + j].bits;
        return std::bit_cast<float>(low | high << 16);
    }
};

// The distance of neighbors along k in a panel of `width` columns: whole vectors, so that no store
// crosses a cache line.
constexpr int64_t panel_stride(int64_t width) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(width)));
}
// The distance of panels.
constexpr int64_t panel_size(int64_t k, int64_t width) {
    return k * panel_stride(width) + 16;
}

// kWidth 0: the width is known only at run time. Else whole vectors are copied where the matrix has
// that many elements; the elements beyond the width are never read.
template <int64_t kWidth, typename Element>
VILA_ALWAYS_INLINE void pack_panels_of(const Element& element, int64_t k, int64_t count,
                                       int64_t width, float* panels, int64_t panel_size) {
    if (kWidth != 0) width = kWidth;
    constexpr int64_t kCopied = kWidth == 0 ? 0 : panel_stride(kWidth);
    const int64_t stride = panel_stride(width);
    // A few rows at a time, so that the next panel finds the rest of their cache lines in the
    // cache.
    constexpr int64_t kRowsAtOnce = 8;
    for (int64_t first = 0; first < k; first += kRowsAtOnce) {
        const int64_t last = std::min(first + kRowsAtOnce, k);
        float* panel = panels;
        for (int64_t j = 0; j < count; j += width, panel += panel_size) {
            if (kCopied != 0 && j + kCopied <= count) {
                for (int64_t p = first; p < last; ++p)
                    for (int64_t i = 0; i < kCopied; ++i) panel[p * stride + i] = element(p, j + i);
                continue;
            }
            const int64_t filled = std::min(width, count - j);
            for (int64_t p = first; p < last; ++p)
                for (int64_t i = 0; i < width; ++i)
                    panel[p * stride + i] = i < filled ? element(p, j + i) : 0.0F;
        }
    }
}

// Cuts `count` columns into panels of `width`: element (p, j) of a panel is at panel[p *
// panel_stride(width) + j]. The last panel is padded with zeros.
template <typename Element>
void pack_panels(Isa isa, const Element& element, int64_t k, int64_t count, int64_t width,
                 float* panels) {
    const int64_t size = panel_size(k, width);
    with_isa(isa, [=] {
        switch (width) {
            case 6:
                return pack_panels_of<6>(element, k, count, width, panels, size);
            case 14:
                return pack_panels_of<14>(element, k, count, width, panels, size);
            case 16:
                return pack_panels_of<16>(element, k, count, width, panels, size);
            case 32:
                return pack_panels_of<32>(element, k, count, width, panels, size);
            default:
                return pack_panels_of<0>(element, k, count, width, panels, size);
        }
    });
}

// c = sums [+ c], rounded once.
template <typename Out>
void store_sums(Isa isa, const float* sums, int64_t sums_row_stride, int64_t rows, int64_t columns,
                bool accumulate, Out* c, int64_t c_row_stride) {
    with_isa(isa, [=] {
        for (int64_t i = 0; i < rows; ++i) {
            const float* sums_i = sums + i * sums_row_stride;
            Out* c_i = c + i * c_row_stride;
            if (accumulate) {
                for (int64_t j = 0; j < columns; ++j)
                    c_i[j] = static_cast<Out>(sums_i[j] + static_cast<float>(c_i[j]));
            } else {
                for (int64_t j = 0; j < columns; ++j) c_i[j] = static_cast<Out>(sums_i[j]);
            }
        }
    });
}

}  // namespace vila::cpu_kernels
