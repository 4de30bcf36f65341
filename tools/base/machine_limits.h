#pragma once

// Limits of the processor: arithmetic peak and memory bandwidth. They are measured in the same
// process as the code that is compared with them, so that the ratio of the two is meaningful on any
// machine and under any load.

#include <cstdint>
#include <vector>

#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

// Rate in flop/s (a multiply-add counts as two) of an f32 loop that uses registers only, on all
// threads of the device and with its instruction set. Takes a few milliseconds.
double multiply_add_rate(const CpuDevice& device);
// The best rate of several runs of this loop, for callers that measure only once. It is measured in
// processor time, so other processes on the same cores do not lower it.
double multiply_add_peak(const CpuDevice& device);

// Rate in flop/s of bf16 dot products of pairs (AVX512-BF16); 0 if the device has none.
double bf16_dot_rate(const CpuDevice& device);

// Rate in flop/s of bf16 matrix products in tile registers (AMX); 0 if the device has none.
double tile_product_rate(const CpuDevice& device);

// Measures the bandwidth of reading memory, with one stream per thread.
class StreamRead {
  public:
    // Reads a buffer of `bytes` bytes, which should be larger than every cache.
    explicit StreamRead(CpuDevice& device, int64_t bytes = int64_t{1} << 30);
    // Reads existing tensors in place, such as memory-mapped weights.
    StreamRead(CpuDevice& device, std::vector<Tensor> parts);
    // Reads everything once; returns bytes per second.
    double rate() const;

  private:
    CpuDevice& device_;
    std::vector<Tensor> parts_;
    double bytes_ = 0.0;
};

}  // namespace vila::tools
