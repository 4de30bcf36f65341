#pragma once

// The CPU as a Device: aligned memory from a caching allocator, OpenMP threads, and the instruction
// set found at run time. CPU kernels reach it with cpu(tensor).

#include <memory>

#include "tensor/cpu/thread_backoff.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace vila {

// What the vector kernels may use, least first; each level includes those before it.
enum class Isa {
    Baseline,    // what the compiler was told to build for
    Avx2,        // AVX2 + FMA
    Avx512,      // AVX-512 F, BW, DQ, VL
    Avx512Bf16,  // + BF16 dot products and VNNI
    Amx,         // + products of bf16 matrices in tile registers
};
const char* isa_name(Isa isa);
// The best level of this processor.
Isa detect_isa();

class CpuDevice : public Device {
  public:
    CpuDevice(const Kernels& kernels, int threads, Isa isa);
    ~CpuDevice() override;

    std::string name() const override;
    int threads() const { return threads_; }
    Isa isa() const { return isa_; }

    // Elements a thread should at least get, below which starting it costs more than it saves.
    // Tests lower it to see small inputs computed by several threads.
    int64_t elements_per_thread = 16384;

    // Whether regions run on several threads at the moment. A Device belongs to one thread.
    mutable ThreadBackoff backoff;

    void copy_from_host(void* destination, const void* source, int64_t bytes) override;
    void copy_to_host(void* destination, const void* source, int64_t bytes) override;
    void synchronize() override {}

  protected:
    void* allocate_bytes(int64_t bytes) override;
    void release_bytes(void* memory, int64_t bytes) noexcept override;

  private:
    struct Cache;  // freed blocks by size, so that a training step touches no fresh pages

    int threads_;
    Isa isa_;
    std::unique_ptr<Cache> cache_;
};

// A CPU device with the kernel table of tensor/cpu/. threads 0 means all cores this process may
// use; `isa` above what the processor has is lowered to it.
std::unique_ptr<CpuDevice> make_cpu_device(int threads = 0, Isa isa = Isa::Amx);

// The device of a CPU tensor, as such.
inline CpuDevice& cpu(const Tensor& tensor) {
    return static_cast<CpuDevice&>(tensor.device());
}

}  // namespace vila
