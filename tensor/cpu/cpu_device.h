#pragma once

// The CPU as a Device: aligned memory from a caching allocator, OpenMP threads, and the instruction
// set detected at run time. CPU kernels get the device of a tensor with cpu(tensor).

#include <memory>

#include "tensor/cpu/thread_backoff.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace vila {

// Instruction set levels of the vector kernels, lowest first; each includes those before it.
enum class Isa {
    Baseline,    // the target of the compiler
    Avx2,        // AVX2 + FMA
    Avx512,      // AVX-512 F, BW, DQ, VL
    Avx512Bf16,  // + BF16 dot products and VNNI
    Amx,         // + products of bf16 matrices in tile registers
};
const char* isa_name(Isa isa);
// The highest level that this processor supports.
Isa detect_isa();

class CpuDevice : public Device {
  public:
    CpuDevice(const Kernels& kernels, int threads, Isa isa);
    ~CpuDevice() override;

    std::string name() const override;
    int threads() const { return threads_; }
    Isa isa() const { return isa_; }

    // The least number of elements worth a thread: with fewer, starting it costs more than it
    // saves. Tests lower it to compute small inputs with several threads.
    int64_t elements_per_thread = 16384;

    // Decides whether regions run on several threads at the moment. Mutable because kernels see a
    // const device; a Device belongs to one thread.
    mutable ThreadBackoff backoff;

    void copy_from_host(void* destination, const void* source, int64_t bytes) override;
    void copy_to_host(void* destination, const void* source, int64_t bytes) override;
    void synchronize() override {}

  protected:
    void* allocate_bytes(int64_t bytes) override;
    void release_bytes(void* memory, int64_t bytes) noexcept override;

  private:
    struct Cache;  // freed blocks by size: a training step reuses those of the previous step

    int threads_;
    Isa isa_;
    std::unique_ptr<Cache> cache_;
};

// Makes a CPU device with the kernel table of tensor/cpu/. threads 0 means all cores that this
// process may use. An `isa` that the processor lacks is lowered to its best.
std::unique_ptr<CpuDevice> make_cpu_device(int threads = 0, Isa isa = Isa::Amx);

// The device of a CPU tensor.
inline CpuDevice& cpu(const Tensor& tensor) {
    return static_cast<CpuDevice&>(tensor.device());
}

}  // namespace vila
