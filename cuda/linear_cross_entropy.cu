// linear_cross_entropy: softmax cross-entropy of the logits hidden (R, C) weight (V, C)^T. One call
// computes the loss and the gradients in chunks of rows, so that only the logits of one chunk exist
// at a time: a product makes them, a kernel turns them into their gradient, and two products use
// it.
//
// Formula   loss = log sum_v exp(logits_v) - logits_target
//           dlogits = grad_scale * (softmax(logits) - onehot(target)), in place
// Mapping   a block of 256 threads owns a row of logits; reads it three times and writes it once
// Shared    one number per warp, for reductions over the block

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
// A chunk has at least this many rows, because every chunk reads all of weight.
constexpr int64_t kMinChunkRows = 128;

template <typename Compute>
struct BlockPartials {
    Compute of_warp[kWarps];
};

// Reduces the values of all threads of the block with combine(), in the order of the warps. Every
// thread gets the result.
template <typename Compute, typename ReduceWarp, typename Combine>
__device__ Compute block_reduce(Compute value, BlockPartials<Compute>& partials,
                                const ReduceWarp& reduce_warp, const Combine& combine) {
    value = reduce_warp(value);
    __syncthreads();  // all threads have read the partials of the previous call
    if (threadIdx.x % kWarp == 0) partials.of_warp[threadIdx.x / kWarp] = value;
    __syncthreads();  // the partials of all warps are stored
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
    largest = block_reduce(
        largest, partials, [](Compute x) { return warp_max(x); },
        [](Compute a, Compute b) { return b > a ? b : a; });
    Compute sum = 0;
    for (int64_t v = threadIdx.x; v < vocab; v += kThreads)
        sum += math::exp(row_logits[v] - largest);
    sum = block_reduce(
        sum, partials, [](Compute x) { return warp_sum(x); },
        [](Compute a, Compute b) { return a + b; });
    if (threadIdx.x == 0) losses[row] = math::log(sum) + (largest - target_logit);

    // Each thread overwrites only logits that no other thread reads; target_logit was read before
    // the barriers above.
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
        const int64_t max_logits = device_of(args.hidden).options.max_logits;
        const int64_t chunk = std::min(rows, std::max(kMinChunkRows, max_logits / vocab));
        const Tensor logits =
            Tensor::empty(args.hidden.device(), {chunk, vocab}, dtype_of<compute_t<T>>);
        for (int64_t begin = 0; begin < rows; begin += chunk)
            cross_entropy_chunk<T>(args, begin, std::min(begin + chunk, rows), logits);
    });
}

}  // namespace vila::cuda
