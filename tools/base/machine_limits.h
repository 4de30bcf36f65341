#pragma once

// What the processor can do at best, measured in the same process and minute as the thing that is
// compared with it: a share of a limit means something where a bare number does not.

#include <cstdint>
#include <vector>

#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

// f32 flop/s (a multiply-add counts two) of a loop that touches registers only, on all threads of
// the device and with its instruction set. Takes a few milliseconds.
double multiply_add_rate(const CpuDevice& device);
// The best of several such loops by processor time, for who measures once: what other processes
// take of the cores meanwhile does not lower it.
double multiply_add_peak(const CpuDevice& device);

// multiply_add_rate() for the bf16 dot product of pairs; 0 where the device has none.
double bf16_dot_rate(const CpuDevice& device);

// The same for products of bf16 matrices in tile registers (AMX); 0 where the device has none.
double tile_product_rate(const CpuDevice& device);

// Bytes per second at which memory can be read: one stream a thread.
class StreamRead {
  public:
    // A buffer beyond every cache.
    explicit StreamRead(CpuDevice& device, int64_t bytes = int64_t{1} << 30);
    // What lies where it lies: mapped weights, say, whose pages are those of the file.
    StreamRead(CpuDevice& device, std::vector<Tensor> parts);
    // Reads everything once.
    double rate() const;

  private:
    CpuDevice& device_;
    std::vector<Tensor> parts_;
    double bytes_ = 0.0;
};

}  // namespace vila::tools
