#pragma once

// PlanDevice: a device that counts memory instead of computing. Its memory is reserved address
// space without pages, and its kernels do nothing. A training step takes milliseconds for a model
// of any size and leaves the memory counters as a real step would.

#include <memory>

#include "dist/collectives.h"
#include "tensor/cpu/cpu_device.h"

namespace vila::tools {

class PlanDevice final : public CpuDevice {
  public:
    PlanDevice();

    std::string name() const override { return "a plan"; }
    // Copies to the device do nothing; copies from it return zeros.
    void copy_from_host(void* destination, const void* source, int64_t bytes) override;
    void copy_to_host(void* destination, const void* source, int64_t bytes) override;

  protected:
    void* allocate_bytes(int64_t bytes) override;
    void release_bytes(void* memory, int64_t bytes) noexcept override;
};

// Returns collectives for rank 0 of an imaginary job with `ranks` ranks. They move no data.
std::unique_ptr<dist::Collectives> planned_ranks(int64_t ranks);

}  // namespace vila::tools
