// Each arithmetic loop has enough independent chains to hide the latency of its instruction on
// every port, and does not access memory. A vector multiply-add has a latency of about 4 cycles on
// 2 ports and needs at least 8 chains; a tile product needs 4.

#include "tools/base/machine_limits.h"

#include <algorithm>

#include "tensor/cpu/gemm/amx.h"
#include "tensor/cpu/intrinsics.h"
#include "tensor/cpu/simd.h"
#include "tools/base/timing.h"

namespace vila::tools {

namespace {

constexpr int64_t kIterations = 200000;

// The result of a loop. `sum` depends on every chain, so that the compiler removes none.
struct Work {
    float sum;
    double flop_per_iteration;
};

#if defined(__x86_64__)
VILA_TARGET_AVX512 Work multiply_add_avx512(int64_t iterations) {
    constexpr int kChains = 16, kLanes = 16;
    __m512 sums[kChains];
    for (auto& sum : sums) sum = _mm512_setzero_ps();
    const __m512 x = _mm512_set1_ps(0.999F), y = _mm512_set1_ps(0.001F);
    for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
        for (int chain = 0; chain < kChains; ++chain)
            sums[chain] = _mm512_fmadd_ps(sums[chain], x, y);
    }
    __m512 total = sums[0];
    for (int chain = 1; chain < kChains; ++chain) total = _mm512_add_ps(total, sums[chain]);
    return {_mm512_reduce_add_ps(total), 2.0 * kChains * kLanes};
}

VILA_TARGET_AVX512_BF16 Work bf16_dot_avx512(int64_t iterations) {
    constexpr int kChains = 16, kLanes = 16;
    __m512 sums[kChains];
    for (auto& sum : sums) sum = _mm512_setzero_ps();
    const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f00));  // 0.5
    for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
        for (int chain = 0; chain < kChains; ++chain)
            sums[chain] = _mm512_dpbf16_ps(sums[chain], x, x);
    }
    __m512 total = sums[0];
    for (int chain = 1; chain < kChains; ++chain) total = _mm512_add_ps(total, sums[chain]);
    return {_mm512_reduce_add_ps(total), 4.0 * kChains * kLanes};
}

// Four tiles of 16 x 16 f32 sums over 32 bf16 values: two tile registers of the left matrix times
// two of the right one.
VILA_TARGET_AMX Work tile_product_amx(int64_t iterations) {
    constexpr int kRows = 16, kRowBytes = 64;
    cpu_kernels::TileConfig config;
    for (int tile = 0; tile < 8; ++tile) config.set(tile, kRows, kRowBytes);
    alignas(64) uint16_t halves[kRows * kRowBytes / 2];
    std::fill(std::begin(halves), std::end(halves), uint16_t{0x3f00});  // 0.5
    alignas(64) float sums[kRows * kRowBytes / 4];
    cpu_kernels::end_writes(halves);
    cpu_kernels::end_writes(&config);
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, halves, kRowBytes);
    _tile_loadd(5, halves, kRowBytes);
    _tile_loadd(6, halves, kRowBytes);
    _tile_loadd(7, halves, kRowBytes);
    for (int64_t i = 0; i < iterations; ++i) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(3, sums, kRowBytes);
    _tile_release();
    return {sums[0], 4.0 * 2.0 * 16 * 16 * 32};
}

VILA_TARGET_AVX2 Work multiply_add_avx2(int64_t iterations) {
    constexpr int kChains = 12, kLanes = 8;
    __m256 sums[kChains];
    for (auto& sum : sums) sum = _mm256_setzero_ps();
    const __m256 x = _mm256_set1_ps(0.999F), y = _mm256_set1_ps(0.001F);
    for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
        for (int chain = 0; chain < kChains; ++chain)
            sums[chain] = _mm256_fmadd_ps(sums[chain], x, y);
    }
    __m256 total = sums[0];
    for (int chain = 1; chain < kChains; ++chain) total = _mm256_add_ps(total, sums[chain]);
    float lanes[kLanes];
    _mm256_storeu_ps(lanes, total);
    return {lanes[0], 2.0 * kChains * kLanes};
}
#endif

Work multiply_add_portable(int64_t iterations) {
    constexpr int kChains = 12, kLanes = 4;
    using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));
    Vector sums[kChains] = {};
    for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
        for (int chain = 0; chain < kChains; ++chain) sums[chain] = sums[chain] * 0.999F + 0.001F;
    }
    float total = 0.0F;
    for (const Vector& sum : sums) total += sum[0];
    return {total, 2.0 * kChains * kLanes};
}

using Loop = Work (*)(int64_t iterations);

Loop multiply_add_loop([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
    if (isa >= Isa::Avx512) return multiply_add_avx512;
    if (isa >= Isa::Avx2) return multiply_add_avx2;
#endif
    return multiply_add_portable;
}

// Flop/s of the loop on all threads at once, in wall-clock time.
double rate_of(const CpuDevice& device, Loop loop) {
    const int threads = device.threads();
    double flop_per_iteration = 0.0;
    float total = 0.0F;
    const double seconds = seconds_of([&] {
#pragma omp parallel for num_threads(threads) schedule(static) \
    reduction(+ : total) reduction(max : flop_per_iteration)
        for (int thread = 0; thread < threads; ++thread) {
            const Work work = loop(kIterations);
            total += work.sum;
            flop_per_iteration = work.flop_per_iteration;
        }
    });
    VILA_ASSERT(total > 0.0F);
    return flop_per_iteration * double(kIterations) * threads / seconds;
}

// Flop/s of the loop on all threads, each in its own processor time, which leaves out the time that
// other processes take of a core.
double undisturbed_rate_of(const CpuDevice& device, Loop loop) {
    const int threads = device.threads();
    double rate = 0.0;
    float total = 0.0F;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : total, rate)
    for (int thread = 0; thread < threads; ++thread) {
        const double start = thread_seconds();
        const Work work = loop(kIterations);
        total += work.sum;
        rate += work.flop_per_iteration * double(kIterations) / (thread_seconds() - start);
    }
    VILA_ASSERT(total > 0.0F);
    return rate;
}

}  // namespace

double multiply_add_rate(const CpuDevice& device) {
    return rate_of(device, multiply_add_loop(device.isa()));
}

double multiply_add_peak(const CpuDevice& device) {
    constexpr int kMeasurements = 9;
    double peak = 0.0;
    for (int i = 0; i < kMeasurements; ++i)
        peak = std::max(peak, undisturbed_rate_of(device, multiply_add_loop(device.isa())));
    return peak;
}

double bf16_dot_rate([[maybe_unused]] const CpuDevice& device) {
#if defined(__x86_64__)
    if (device.isa() >= Isa::Avx512Bf16) return rate_of(device, bf16_dot_avx512);
#endif
    return 0.0;
}

double tile_product_rate([[maybe_unused]] const CpuDevice& device) {
#if defined(__x86_64__)
    if (device.isa() >= Isa::Amx) return rate_of(device, tile_product_amx);
#endif
    return 0.0;
}

StreamRead::StreamRead(CpuDevice& device, int64_t bytes)
    : StreamRead(device,
                 {Tensor::full(device, {bytes / int64_t{sizeof(float)}}, DType::F32, 1.0)}) {}

StreamRead::StreamRead(CpuDevice& device, std::vector<Tensor> parts)
    : device_(device), parts_(std::move(parts)) {
    for (const Tensor& part : parts_) bytes_ += static_cast<double>(part.bytes());
}

double StreamRead::rate() const {
    const int threads = device_.threads();
    int64_t used = 0;
    const double seconds = seconds_of([&] {
        for (const Tensor& part : parts_) {
            const auto* words = static_cast<const int32_t*>(part.raw());
            const int64_t count = part.bytes() / int64_t{sizeof(int32_t)};
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : used)
            for (int64_t thread = 0; thread < threads; ++thread) {
                const int64_t begin = count * thread / threads;
                const int64_t end = count * (thread + 1) / threads;
                cpu_kernels::with_isa(device_.isa(), [&used, words, begin, end] {
                    // Integer maxima are as fast as sums, and the compiler may reorder them.
                    int32_t largest = 0;
                    for (int64_t i = begin; i < end; ++i)
                        largest = words[i] > largest ? words[i] : largest;
                    used += largest;
                });
            }
        }
    });
    VILA_ASSERT(used >= 0);
    return bytes_ / seconds;
}

}  // namespace vila::tools
