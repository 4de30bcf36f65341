#pragma once

// `vila bench WHAT --device cuda`: products, attention, memory-bound kernels, training steps and
// decoding on a GPU, each beside what the same GPU does at best in the same minute: the rate of a
// copy, and of one large product in bf16. Written for any Device, so that tests run it on small
// sizes anywhere.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/config.h"
#include "tools/bench/bench_attention.h"
#include "tools/bench/bench_train_step.h"

namespace vila::tools {

// A linear layer: x (rows, inputs) weight (outputs, inputs).
struct LayerShape {
    int64_t rows, inputs, outputs;
};

struct GpuBenchSizes {
    int64_t copy_bytes = 0;     // of the buffer that is copied
    int64_t ceiling = 0;        // side of the square product
    double sample_seconds = 0;  // short kernels are repeated to this
    std::vector<LayerShape> layers;
    std::vector<AttentionShape> attention;
    int64_t norm_rows = 0, norm_width = 0;
    TrainStepShape step;
    models::LlamaConfig decoder;
    int64_t context = 0, tokens = 0;  // decoded behind so many positions
};
// For a GPU of 40 GB and more.
GpuBenchSizes gpu_bench_sizes();
// That take no time anywhere: to see that all of it works.
GpuBenchSizes small_gpu_bench_sizes();

// Counted by what the arithmetic needs (`flop`), or by what must pass through memory (`bytes`); the
// other is 0.
struct GpuMeasurement {
    std::string name;
    double seconds = 0.0;  // of one run, median
    double flop = 0.0, bytes = 0.0;
    double limit_share = 0.0;  // of the product's rate, or of the copy's
};

class GpuBench {
  public:
    // Measures the two limits; every figure of this object stands beside them.
    GpuBench(Device& device, DType dtype, const GpuBenchSizes& sizes, int repetitions);

    double copy_rate() const { return copy_rate_; }        // bytes per second, read and written
    double product_rate() const { return product_rate_; }  // flop per second, bf16

    // Each checks a part of its result against f64, or for sanity, and throws when it is wrong.
    // The products of linear layers, alone and with what follows them; those of backward.
    std::vector<GpuMeasurement> gemm() const;
    std::vector<GpuMeasurement> attention() const;
    // Norms, activations and the optimizer.
    std::vector<GpuMeasurement> norms() const;
    std::vector<GpuMeasurement> train_step() const;
    // One token after the other: recorded, and launched kernel by kernel.
    std::vector<GpuMeasurement> decode() const;

    std::string table(const std::vector<GpuMeasurement>& rows) const;
    nlohmann::json json(const std::string& bench, const std::vector<GpuMeasurement>& rows) const;

  private:
    double seconds_of_run(const std::function<void()>& body) const;
    GpuMeasurement by_flop(const std::string& name, double flop,
                           const std::function<void()>& body) const;
    GpuMeasurement by_bytes(const std::string& name, double bytes,
                            const std::function<void()>& body) const;

    Device& device_;
    DType dtype_;
    GpuBenchSizes sizes_;
    int repetitions_;
    double copy_rate_ = 0.0, product_rate_ = 0.0;
};

}  // namespace vila::tools
