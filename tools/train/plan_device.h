#pragma once

// A device that counts instead of computing: its memory is address space without pages behind it,
// and its kernels do nothing. A training step on it takes milliseconds, whatever the size of the
// model, and leaves the memory counters where a real step would have left them.

#include <memory>

#include "dist/collectives.h"
#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

class PlanDevice final : public CpuDevice {
  public:
    PlanDevice();

    std::string name() const override { return "a plan"; }
    // Nothing arrives; what comes back is zeros.
    void copy_from_host(void* destination, const void* source, int64_t bytes) override;
    void copy_to_host(void* destination, const void* source, int64_t bytes) override;

  protected:
    void* allocate_bytes(int64_t bytes) override;
    void release_bytes(void* memory, int64_t bytes) noexcept override;
};

// Rank 0 of a job whose other ranks do not exist: nothing is moved.
std::unique_ptr<dist::Collectives> planned_ranks(int64_t ranks);

}  // namespace vila::tools
