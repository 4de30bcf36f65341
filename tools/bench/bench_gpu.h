#pragma once

// `vila bench WHAT --device cuda`: products, attention, memory-bound kernels, training steps and
// decoding on a GPU. Each is compared with one of two limits of the same GPU, measured in the same
// process: the rate of a copy, or that of one large bf16 product. The code runs on any Device, so
// tests run it at small sizes.

#include <cstdint>
#include <string>
#include <vector>

#include "models/config.h"
#include "tensor/json.h"
#include "tools/bench/bench_attention.h"
#include "tools/bench/bench_train_step.h"

namespace vila::tools {

// A linear layer y = x weight^T with x (rows, inputs) and weight (outputs, inputs).
struct LayerShape {
    int64_t rows, inputs, outputs;
};

struct GpuBenchSizes {
    int64_t copy_bytes = 0;     // size of the buffer whose copy is timed
    int64_t ceiling = 0;        // side of the square matrices whose product is timed
    double sample_seconds = 0;  // a short kernel is repeated until a sample takes this long
    std::vector<LayerShape> layers;
    std::vector<AttentionShape> attention;
    int64_t norm_rows = 0, norm_width = 0;
    TrainStepShape step;
    models::LlamaConfig decoder;
    int64_t context = 0, tokens = 0;  // decoding: positions in the cache, and new tokens
};
// For a GPU with at least 40 GB of memory.
GpuBenchSizes gpu_bench_sizes();
// Sizes that are quick on any device, for tests.
GpuBenchSizes small_gpu_bench_sizes();

// One row of the table. For a compute-bound kernel `flop` is the number of its floating-point
// operations, for a memory-bound one `bytes` is what it must read and write; the other is 0.
struct GpuMeasurement {
    std::string name;
    double seconds = 0.0;  // of one run, median
    double flop = 0.0, bytes = 0.0;
    double limit_share = 0.0;  // its rate divided by that of the product, or of the copy
};

class GpuBench {
  public:
    // Measures the two limits.
    GpuBench(Device& device, DType dtype, const GpuBenchSizes& sizes, int repetitions);

    double copy_rate() const { return copy_rate_; }        // bytes read and written, per second
    double product_rate() const { return product_rate_; }  // flop per second in bf16

    // Each of the following checks some of its results, and throws if one is wrong.

    // Products of linear layers: plain, with fused epilogues, and those of the backward pass.
    std::vector<GpuMeasurement> gemm() const;
    std::vector<GpuMeasurement> attention() const;
    // Norms, activations and the optimizer.
    std::vector<GpuMeasurement> norms() const;
    std::vector<GpuMeasurement> train_step() const;
    // Greedy decoding, by replaying a recorded graph of kernel launches and by launching each
    // kernel.
    std::vector<GpuMeasurement> decode() const;

    std::string table(const std::vector<GpuMeasurement>& rows) const;
    Json json(const std::string& bench, const std::vector<GpuMeasurement>& rows) const;

  private:
    // Median seconds of one call of body().
    double seconds_of_run(const std::function<void()>& body) const;
    // These time body() and compare it with the rate of the product, or of the copy.
    GpuMeasurement by_flop(const std::string& name, double flop,
                           const std::function<void()>& body) const;
    GpuMeasurement by_bytes(const std::string& name, double bytes,
                            const std::function<void()>& body) const;
    GpuMeasurement adamw() const;

    Device& device_;
    DType dtype_;
    GpuBenchSizes sizes_;
    int repetitions_;
    double copy_rate_ = 0.0, product_rate_ = 0.0;
};

}  // namespace vila::tools
