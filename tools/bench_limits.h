#pragma once

// What the processor can do at best, measured in the same process and minute as the thing that is
// compared with it: a share of a limit means something where a bare number does not.

#include <cstdint>

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

// Bytes per second at which memory can be read: a buffer beyond every cache, one stream a thread.
class StreamRead {
  public:
    explicit StreamRead(CpuDevice& device, int64_t bytes = int64_t{1} << 30);
    // Reads the buffer once.
    double rate() const;

  private:
    CpuDevice& device_;
    Tensor buffer_;  // f32
};

}  // namespace vila::tools
