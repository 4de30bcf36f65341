// linear_cross_entropy: softmax cross-entropy of hidden (R, C) against weight (V, C), loss and
// gradients in one call, by chunks of rows whose logits are made and used up at once: a product,
// one pass over the logits that turns them into their gradient, two products.
//
// Formula   loss = log sum_v exp(logits_v) - logits_target
//           dlogits = grad_scale * (softmax(logits) - onehot(target)), in place
// Mapping   a block of 256 threads owns a row of logits; it reads it twice and writes it once
// Shared    one number per warp, for sums over the block

#include <algorithm>

#include "cuda/gemm.h"
#include "cuda/kernels.h"
#include "cuda/math.h"
#include "cuda/row_exists.h"
#include "cuda/rows.h"
#include "cuda/shared.h"

namespace vila::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
// A chunk has at least so many rows, as every chunk reads all of weight.
constexpr int64_t kChunkRows = 128;

template <typename Compute>
struct BlockPartials {
    Compute of_warp[kWarps];
};

// combine() over what all threads of the block hold, warps in order; every thread gets it.
template <typename Compute, typename InWarp, typename Combine>
__device__ Compute over_block(Compute value, BlockPartials<Compute>& partials,
                              const InWarp& in_warp, const Combine& combine) {
    value = in_warp(value);
    __syncthreads();  // the partials of the call before have been read
    if (threadIdx.x % kWarp == 0) partials.of_warp[threadIdx.x / kWarp] = value;
    __syncthreads();  // all warps have given theirs
    Compute total = partials.of_warp[0];
    for (int warp = 1; warp < kWarps; ++warp) total = combine(total, partials.of_warp[warp]);
    return total;
}

template <typename Compute>
__global__ void cross_entropy_kernel(Compute* logits, const int32_t* targets, Compute* losses,
                                     int64_t vocab, Compute grad_scale, Faults* faults) {
    auto& partials = shared_memory<BlockPartials<Compute>>();
    const int64_t row = blockIdx.x;
    Compute* row_logits = logits + row * vocab;
    const bool exists = row_exists(faults, FaultKind::CrossEntropy, row, targets[row], 0, vocab);
    const int64_t target = exists ? targets[row] : 0;
    const Compute target_logit = row_logits[target];

    Compute largest = -static_cast<Compute>(INFINITY);
    for (int64_t v = threadIdx.x; v < vocab; v += kThreads)
        largest = row_logits[v] > largest ? row_logits[v] : largest;
    largest = over_block(
        largest, partials, [](Compute x) { return warp_max(x); },
        [](Compute a, Compute b) { return b > a ? b : a; });
    Compute sum = 0;
    for (int64_t v = threadIdx.x; v < vocab; v += kThreads)
        sum += math::exp(row_logits[v] - largest);
    sum = over_block(
        sum, partials, [](Compute x) { return warp_sum(x); },
        [](Compute a, Compute b) { return a + b; });
    if (threadIdx.x == 0) losses[row] = math::log(sum) + (largest - target_logit);

    // Each thread overwrites what only it reads; target_logit was read before the barriers above.
    const Compute factor = grad_scale / sum;
    for (int64_t v = threadIdx.x; v < vocab; v += kThreads)
        row_logits[v] =
            factor * math::exp(row_logits[v] - largest) - (v == target ? grad_scale : 0);
}

template <typename T>
void cross_entropy_chunk(const LinearCrossEntropyArgs& args, int64_t begin, int64_t end,
                         const Tensor& logits) {
    using Compute = compute_t<T>;
    CudaDevice& device = device_of(args.hidden);
    const int64_t rows = end - begin, width = args.hidden.size(1), vocab = args.weight.size(0);
    const auto matrix = [width](const Tensor& x, int64_t first) {
        return MatrixView{x.data<T>() + first * width, width, 1, dtype_of<T>};
    };
    const MatrixView hidden = matrix(args.hidden, begin);  // (rows, C)
    const MatrixView weight = matrix(args.weight, 0);      // (V, C)
    const MatrixView dlogits = {logits.raw(), vocab, 1, dtype_of<Compute>};
    gemm(device, {{.m = rows,
                   .n = vocab,
                   .k = width,
                   .a = hidden,
                   .b = weight.transposed(),
                   .c = logits.raw(),
                   .c_row_stride = vocab,
                   .c_dtype = dtype_of<Compute>}});
    launch(device, cross_entropy_kernel<Compute>, {rows}, {kThreads},
           sizeof(BlockPartials<Compute>), logits.data<Compute>(),
           args.targets.data<int32_t>() + begin, args.losses.data<Compute>() + begin, vocab,
           static_cast<Compute>(args.grad_scale), device.faults());
    if (args.dhidden.defined())
        gemm(device, {{.m = rows,
                       .n = width,
                       .k = vocab,
                       .a = dlogits,
                       .b = weight,
                       .c = args.dhidden.data<T>() + begin * width,
                       .c_row_stride = width,
                       .c_dtype = dtype_of<T>}});
    if (args.dweight.defined())
        gemm(device, {{.m = vocab,
                       .n = width,
                       .k = rows,
                       .a = dlogits.transposed(),
                       .b = hidden,
                       .c = args.dweight.raw(),
                       .c_row_stride = width,
                       .c_dtype = dtype_of<Compute>,
                       .accumulate = true}});
}

}  // namespace

void linear_cross_entropy(const LinearCrossEntropyArgs& args) {
    const int64_t rows = args.hidden.size(0), vocab = args.weight.size(0);
    if (rows == 0) return;
    for_float("linear_cross_entropy", args.hidden.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t most = device_of(args.hidden).options.max_logits;
        const int64_t chunk = std::min(rows, std::max(kChunkRows, most / vocab));
        const Tensor logits =
            Tensor::empty(args.hidden.device(), {chunk, vocab}, dtype_of<compute_t<T>>);
        for (int64_t begin = 0; begin < rows; begin += chunk)
            cross_entropy_chunk<T>(args, begin, std::min(begin + chunk, rows), logits);
    });
}

}  // namespace vila::cuda
