#pragma once

// A device that detects kernels that write outside their output or leave a part of it unwritten.
// Every block of memory it allocates has guard bytes before and after it, is filled with NaN, and
// is never reused.
//
// Each test program links one implementation:
//   guarded_device.cpp           the CPU, which starts threads for any number of elements
//   cuda/emulation/guarded.cpp   emulated CUDA: "threads" 1, 2 and 3 select the order in which the
//                                threads of a block run: forward, reversed, random
// On both, a result must have the same bits for any `threads`.

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

    // Lets tests pass it wherever a Device is expected.
    operator Device&() const;
    std::string name() const;
    const MemoryCounters& memory() const;
    void reset_peak();
    // Returns whether a guard byte of any block, freed or live, was overwritten.
    bool damaged() const;

    // Returns the instruction sets of this machine for which kernels differ, smallest first.
    static std::vector<Isa> levels();
    // Returns whether attention in bf16 rounds its weights to bf16, as tensor cores do.
    static bool rounds_weights();
    // Returns whether operations are so slow that tests should try fewer and smaller ones.
    static bool slow();

  private:
    class Guarded;
    std::unique_ptr<Guarded> device_;
};

}  // namespace vila::testing
