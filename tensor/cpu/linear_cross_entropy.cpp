// linear_cross_entropy: softmax cross-entropy of hidden (R, C) against weight (V, C), loss and
// gradients in one call. First the reference for f64, row by row in order. Below it the fast
// version: chunks of rows whose logits fit the cache, with matrix products by gemm.

#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/cpu/gemm/gemm.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/parallel.h"
#include "tensor/cpu/vector_math.h"
#include "tensor/dispatch.h"

namespace vila::cpu_kernels {

namespace {

// Computes the loss of one row and its part of the gradients. `logits` (V) is scratch.
template <typename T>
void cross_entropy_row(const LinearCrossEntropyArgs& args, int64_t row, compute_t<T>* logits) {
    using Compute = compute_t<T>;
    const int64_t width = args.hidden.size(1), vocab = args.weight.size(0);
    const T* hidden_r = args.hidden.data<T>() + row * width;  // (C)
    const T* weight = args.weight.data<T>();                  // (V, C)
    const int64_t target = args.targets.data<int32_t>()[row];

    for (int64_t v = 0; v < vocab; ++v) {
        logits[v] = 0;
        for (int64_t c = 0; c < width; ++c)
            logits[v] +=
                static_cast<Compute>(hidden_r[c]) * static_cast<Compute>(weight[v * width + c]);
    }
    const Compute largest = *std::max_element(logits, logits + vocab);
    Compute sum = 0;
    for (int64_t v = 0; v < vocab; ++v) sum += std::exp(logits[v] - largest);
    const Compute log_sum_exp = largest + std::log(sum);
    args.losses.data<Compute>()[row] = log_sum_exp - logits[target];

    // d loss / d logits = softmax - onehot(target), in place.
    const auto scale = static_cast<Compute>(args.grad_scale);
    for (int64_t v = 0; v < vocab; ++v)
        logits[v] = scale * (std::exp(logits[v] - log_sum_exp) - (v == target ? 1 : 0));
    if (args.dhidden.defined()) {
        T* dhidden_r = args.dhidden.data<T>() + row * width;
        for (int64_t c = 0; c < width; ++c) {
            Compute total = 0;
            for (int64_t v = 0; v < vocab; ++v)
                total += logits[v] * static_cast<Compute>(weight[v * width + c]);
            dhidden_r[c] = static_cast<T>(total);
        }
    }
    if (args.dweight.defined()) {
        Compute* dweight = args.dweight.data<Compute>();
        for (int64_t v = 0; v < vocab; ++v)
            for (int64_t c = 0; c < width; ++c)
                dweight[v * width + c] += logits[v] * static_cast<Compute>(hidden_r[c]);
    }
}

// --- the fast version: f32 and bf16 ---

// The size of the logits of a chunk of rows, in floats: 16 MiB. It is larger where that would be
// fewer than 128 rows: every chunk reads all of weight and, for the gradient, reads and writes all
// of dweight.
constexpr int64_t kChunkFloats = int64_t{4} << 20;
constexpr int64_t kChunkRows = 128;
constexpr int64_t kLanes = 64;  // running maxima and sums of a row, combined in order

VILA_ALWAYS_INLINE float largest_of(const float* x, int64_t count) {
    std::array<float, kLanes> lanes;
    lanes.fill(x[0]);
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (int64_t lane = 0; lane < kLanes; ++lane)
            lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
    float largest = *std::max_element(lanes.begin(), lanes.end());
    for (; i < count; ++i) largest = std::max(largest, x[i]);
    return largest;
}

// x = exp(x - shift); returns the sum.
VILA_ALWAYS_INLINE float exp_and_sum(float* x, int64_t count, float shift) {
    std::array<float, kLanes> lanes{};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        for (int64_t lane = 0; lane < kLanes; ++lane) {
            x[i + lane] = vector_math::exp(x[i + lane] - shift);
            lanes[lane] += x[i + lane];
        }
    }
    double sum = 0.0;
    for (const float lane : lanes) sum += static_cast<double>(lane);
    for (; i < count; ++i) sum += static_cast<double>(x[i] = vector_math::exp(x[i] - shift));
    return static_cast<float>(sum);
}

// Turns a row of logits into d (scale * loss) / d logits = scale * (softmax - onehot(target)), in
// place, and returns the loss.
VILA_ALWAYS_INLINE float softmax_gradient(float* logits, int64_t vocab, int64_t target,
                                          float scale) {
    const float largest = largest_of(logits, vocab), logit = logits[target];
    const float sum = exp_and_sum(logits, vocab, largest);
    const float factor = scale / sum;
    for (int64_t v = 0; v < vocab; ++v) logits[v] *= factor;
    logits[target] -= scale;
    return std::log(sum) + (largest - logit);
}

// Computes rows [begin, end), with memory for their logits: three matrix products and one pass over
// the logits.
void cross_entropy_chunk(const LinearCrossEntropyArgs& args, int64_t begin, int64_t end,
                         float* logits) {
    CpuDevice& device = cpu(args.hidden);
    const int64_t rows = end - begin;
    const int64_t width = args.hidden.size(1), vocab = args.weight.size(0);
    const DType dtype = args.hidden.dtype();
    const auto rows_of = [&](const Tensor& x) {
        return static_cast<char*>(x.raw()) + begin * width * dtype_size(x.dtype());
    };
    const auto multiply = [&](const GemmProblem& problem) {
        gemm(device, 1, [&](int64_t) { return problem; });
    };
    const MatrixView hidden = {rows_of(args.hidden), width, 1, dtype};  // (rows, C)
    const MatrixView weight = {args.weight.raw(), width, 1, dtype};     // (V, C)
    const MatrixView dlogits = {logits, vocab, 1, DType::F32};          // (rows, V)

    multiply({.m = rows,
              .n = vocab,
              .k = width,
              .a = hidden,
              .b = weight.transposed(),
              .c = logits,
              .c_row_stride = vocab,
              .c_dtype = DType::F32});
    const int32_t* targets = args.targets.data<int32_t>() + begin;
    float* losses = args.losses.data<float>() + begin;
    const auto scale = static_cast<float>(args.grad_scale);
    parallel_for(device, rows, 8 * vocab, [&](int64_t first, int64_t last) {
        with_isa(device.isa(), [=] {
            for (int64_t r = first; r < last; ++r)
                losses[r] = softmax_gradient(logits + r * vocab, vocab, targets[r], scale);
        });
    });
    if (args.dhidden.defined())
        multiply({.m = rows,
                  .n = width,
                  .k = vocab,
                  .a = dlogits,
                  .b = weight,
                  .c = rows_of(args.dhidden),
                  .c_row_stride = width,
                  .c_dtype = dtype});
    if (args.dweight.defined())
        multiply({.m = vocab,
                  .n = width,
                  .k = rows,
                  .a = dlogits.transposed(),
                  .b = hidden,
                  .c = args.dweight.raw(),
                  .c_row_stride = width,
                  .c_dtype = DType::F32,
                  .accumulate = true});
}

}  // namespace

void linear_cross_entropy(const LinearCrossEntropyArgs& args) {
    const int64_t rows = args.hidden.size(0), vocab = args.weight.size(0);
    if (args.hidden.dtype() == DType::F64) {
        const Tensor logits = Tensor::empty(args.hidden.device(), {vocab}, DType::F64);
        for (int64_t row = 0; row < rows; ++row)
            cross_entropy_row<double>(args, row, logits.data<double>());
        return;
    }
    const int64_t chunk = std::min(rows, std::max(kChunkRows, kChunkFloats / vocab));
    const Tensor logits = Tensor::empty(args.hidden.device(), {chunk, vocab}, DType::F32);
    for (int64_t begin = 0; begin < rows; begin += chunk)
        cross_entropy_chunk(args, begin, std::min(begin + chunk, rows), logits.data<float>());
}

}  // namespace vila::cpu_kernels
