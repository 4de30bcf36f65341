#pragma once

// A device for tests: every block of memory it hands out has guard bytes before and after it,
// starts full of NaN, and is never reused, so that a kernel that writes outside its output or
// leaves a part of it unwritten is seen.
//
// Which device that is, is decided when a test program is linked:
//   guarded_device.cpp           the CPU, with threads used from the first element on
//   cuda/emulation/guarded.cpp   CUDA, emulated: "threads" 1, 2 and 3 are the orders in which the
//                                threads of a block get their turns: forward, reversed, random
// In both a result must have the same bits for any `threads`.

#include <memory>
#include <string>
#include <vector>

#include "tensor/cpu/cpu_device.h"

namespace vila::testing {

class GuardedDevice {
  public:
    explicit GuardedDevice(int threads = 1, Isa isa = Isa::Amx);
    ~GuardedDevice();
    GuardedDevice(const GuardedDevice&) = delete;
    GuardedDevice& operator=(const GuardedDevice&) = delete;

    // Tensors are made on it as on any Device.
    operator Device&() const;
    std::string name() const;
    const MemoryCounters& memory() const;
    void reset_peak();
    // Whether a guard byte of any block, freed or alive, was overwritten.
    bool damaged() const;

    // What makes a difference to kernels and exists on this machine, least first.
    static std::vector<Isa> levels();
    // Whether attention in bf16 rounds its weights to bf16, as tensor cores do.
    static bool rounds_weights();
    // Whether an operation takes so long that tests should try fewer and smaller ones.
    static bool slow();

  private:
    class Guarded;
    std::unique_ptr<Guarded> device_;
};

}  // namespace vila::testing
