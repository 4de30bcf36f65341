// The kernels of gemm for every other machine: vectors of four floats in the compiler's vector
// extension (NEON on aarch64, SSE2 on x86). Tiles are 8 x 8 where there are 32 vector registers,
// else 4 x 8.

#include <array>
#include <cstring>

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/simd.h"

namespace vila::cpu_kernels {

namespace {

#if defined(__aarch64__)
constexpr int kMr = 8;
#else
constexpr int kMr = 4;
#endif
constexpr int kLanes = 4;
constexpr int kNr = 2 * kLanes;

using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));

VILA_ALWAYS_INLINE Vector load(const float* x) {
    Vector vector;
    std::memcpy(&vector, x, sizeof vector);  // x may be unaligned
    return vector;
}
VILA_ALWAYS_INLINE void store(float* x, Vector vector) {
    std::memcpy(x, &vector, sizeof vector);
}

template <int kCount>
void tile(const GemmTile& t) {
    Vector sums[kCount][2] = {};
    const float* a = t.a;
    const float* b = t.b;
    for (int64_t p = t.k; p > 0; --p) {
        const Vector b_0 = load(b), b_1 = load(b + kLanes);
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
            const float a_i = a[i * t.a_row_stride];
            sums[i][0] += a_i * b_0;
            sums[i][1] += a_i * b_1;
        }
        b += kNr;
        a += t.a_k_stride;
    }
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
            float* c_i = t.c + i * t.c_row_stride + v * kLanes;
            Vector y = t.alpha * sums[i][v];
            if (t.bias != nullptr) y += load(t.bias + v * kLanes);
            store(c_i, t.accumulate ? load(c_i) + y : y);
        }
    }
}

constexpr std::array<void (*)(const GemmTile&), kMr> kTiles = {
    tile<1>, tile<2>, tile<3>, tile<4>,
#if defined(__aarch64__)
    tile<5>, tile<6>, tile<7>, tile<8>,
#endif
};

template <typename T>
void transpose(const void* source, int64_t row_bytes, int64_t count, int64_t k, float* panel) {
    for (int64_t j = 0; j < kNr; ++j) {
        const auto* row =
            reinterpret_cast<const T*>(static_cast<const char*>(source) + j * row_bytes);
        for (int64_t p = 0; p < k; ++p)
            panel[p * kNr + j] = j < count ? static_cast<float>(row[p]) : 0.0F;
    }
}

}  // namespace

GemmKernels gemm_kernels_portable() {
    return {.isa = Isa::Baseline,
            .mr = kMr,
            .nr = kNr,
            .kc = kVectorKc,
            .mc = kVectorMc,
            .vnni_pairs = false,
            .tiles = kTiles,
            .transpose = transpose<float>,
            .transpose_bf16 = transpose<BFloat16>,
            .skinny = {},
            .skinny_bf16 = {}};
}

}  // namespace vila::cpu_kernels
