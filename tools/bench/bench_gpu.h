#pragma once

// `vila bench WHAT --device cuda`: products, attention, memory-bound kernels, training steps and
// decoding on a GPU. Each stands beside the GPU's own limits, measured in the same process: the
// rate of a copy, and of one large bf16 product. It runs on any Device, so tests run it at small
// sizes.

#include <cstdint>
#include <string>
#include <vector>

#include "models/config.h"
#include "tensor/json.h"
#include "tools/bench/bench_attention.h"
#include "tools/bench/bench_train_step.h"

namespace vila::tools {

// A linear layer: x (rows, inputs) weight (outputs, inputs).
struct LayerShape {
    int64_t rows, inputs, outputs;
};

struct GpuBenchSizes {
    int64_t copy_bytes = 0;     // size of the buffer that is copied
    int64_t ceiling = 0;        // side of the square product
    double sample_seconds = 0;  // short kernels are repeated until a sample is this long
    std::vector<LayerShape> layers;
    std::vector<AttentionShape> attention;
    int64_t norm_rows = 0, norm_width = 0;
    TrainStepShape step;
    models::LlamaConfig decoder;
    int64_t context = 0, tokens = 0;  // decoding: positions in the cache, and new tokens
};
// For a GPU with at least 40 GB of memory.
GpuBenchSizes gpu_bench_sizes();
// Sizes that take no time on any device, for tests.
GpuBenchSizes small_gpu_bench_sizes();

// One row of the table. A compute-bound kernel counts its arithmetic (`flop`), a memory-bound one
// the bytes it must move (`bytes`); the other count is 0.
struct GpuMeasurement {
    std::string name;
    double seconds = 0.0;  // one run, median
    double flop = 0.0, bytes = 0.0;
    double limit_share = 0.0;  // of the rate of the product, or of the copy
};

class GpuBench {
  public:
    // Measures the two limits, with which every later measurement is compared.
    GpuBench(Device& device, DType dtype, const GpuBenchSizes& sizes, int repetitions);

    double copy_rate() const { return copy_rate_; }        // bytes read and written, per second
    double product_rate() const { return product_rate_; }  // flop per second in bf16

    // Each of these checks its result, in part against f64, and throws if it is wrong.
    // Products of linear layers: alone, with fused epilogues, and those of backward.
    std::vector<GpuMeasurement> gemm() const;
    std::vector<GpuMeasurement> attention() const;
    // Norms, activations and the optimizer.
    std::vector<GpuMeasurement> norms() const;
    std::vector<GpuMeasurement> train_step() const;
    // One token after another: as a recorded graph of launches, and kernel by kernel.
    std::vector<GpuMeasurement> decode() const;

    std::string table(const std::vector<GpuMeasurement>& rows) const;
    Json json(const std::string& bench, const std::vector<GpuMeasurement>& rows) const;

  private:
    double seconds_of_run(const std::function<void()>& body) const;
    GpuMeasurement by_flop(const std::string& name, double flop,
                           const std::function<void()>& body) const;
    GpuMeasurement adamw() const;
    GpuMeasurement by_bytes(const std::string& name, double bytes,
                            const std::function<void()>& body) const;

    Device& device_;
    DType dtype_;
    GpuBenchSizes sizes_;
    int repetitions_;
    double copy_rate_ = 0.0, product_rate_ = 0.0;
};

}  // namespace vila::tools
