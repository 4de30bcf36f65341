// sum_squares: result += sum of x^2 in f64. The order of the sum is fixed by the size alone: chunks
// of kChunk elements, kLanes running sums inside a chunk, lanes and then chunks added in order.

#include <algorithm>
#include <array>

#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/simd.h"
#include "tensor/dispatch.h"
#include "tensor/int_math.h"

namespace vila::cpu_kernels {

namespace {

constexpr int64_t kChunk = 16384;
constexpr int64_t kLanes = 32;

template <typename T>
VILA_ALWAYS_INLINE double sum_squares_chunk(const T* x, int64_t count) {
    std::array<double, kLanes> sums{};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        for (int64_t lane = 0; lane < kLanes; ++lane) {
            const auto value = static_cast<double>(static_cast<compute_t<T>>(x[i + lane]));
            sums[lane] += value * value;
        }
    }
    for (int64_t lane = 0; i < count; ++i, ++lane) {
        const auto value = static_cast<double>(static_cast<compute_t<T>>(x[i]));
        sums[lane] += value * value;
    }
    double total = 0.0;
    for (const double sum : sums) total += sum;
    return total;
}

}  // namespace

void sum_squares(const SumSquaresArgs& args) {
    const int64_t count = args.x.numel();
    const int64_t chunks = ceil_div(count, kChunk);
    const CpuDevice& device = cpu(args.x);
    const Tensor partial = Tensor::empty(args.x.device(), {chunks}, DType::F64);
    double* sums = partial.data<double>();
    for_float("sum_squares", args.x.dtype(), [&](auto element) {
        using T = decltype(element);
        const T* x = args.x.data<T>();
        parallel_for(device, chunks, kChunk, [&](int64_t begin, int64_t end) {
            with_isa(device.isa(), [=] {
                for (int64_t chunk = begin; chunk < end; ++chunk) {
                    const int64_t start = chunk * kChunk;
                    sums[chunk] = sum_squares_chunk(x + start, std::min(kChunk, count - start));
                }
            });
        });
    });
    double total = 0.0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) total += sums[chunk];
    args.result.data<double>()[0] += total;
}

}  // namespace vila::cpu_kernels
