#include "tools/train/plan_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tensor/kernels.h"

namespace vila::tools {

namespace {

template <typename Args>
using Kernel = void (*)(const Args&);

// Converts to any kernel: one that does nothing.
struct NoKernel {
    template <typename Args>
    constexpr operator Kernel<Args>() const {
        return [](const Args&) {};
    }
};

// Allocates the scratch memory of the real kernel: the logits of one chunk of rows. The scratch
// memory of other kernels is small.
void plan_linear_cross_entropy(const LinearCrossEntropyArgs& args) {
    constexpr int64_t kChunkRows = 128, kChunkFloats = int64_t{4} << 20;
    const int64_t vocab = args.weight.size(0);
    const int64_t chunk = std::min(args.hidden.size(0), std::max(kChunkRows, kChunkFloats / vocab));
    Tensor::empty(args.hidden.device(), {chunk, vocab}, DType::F32);
}

// A table in which every kernel does nothing. It initializes every member of Kernels, and does not
// compile if one of them is no kernel.
template <size_t... kIndices>
constexpr Kernels no_kernels(std::index_sequence<kIndices...>) {
    return {(static_cast<void>(kIndices), NoKernel{})...};
}

constexpr Kernels plan_kernels() {
    Kernels kernels = no_kernels(std::make_index_sequence<kKernelCount>());
    kernels.linear_cross_entropy = plan_linear_cross_entropy;
    return kernels;
}
constexpr Kernels kPlanKernels = plan_kernels();

class PlannedRanks final : public dist::Collectives {
  public:
    explicit PlannedRanks(int64_t ranks) : ranks_(ranks) {}
    int64_t rank() const override { return 0; }
    int64_t ranks() const override { return ranks_; }
    std::string name() const override { return "planned"; }
    bool moves_bytes() const override { return false; }

  private:
    void do_barrier() override {}
    void do_broadcast(void*, int64_t, int64_t) override {}
    void do_all_gather(const void*, void*, int64_t) override {}
    void do_all_to_all(const void*, void*, int64_t) override {}

    int64_t ranks_;
};

}  // namespace

PlanDevice::PlanDevice() : CpuDevice(kPlanKernels, 1, Isa::Baseline) {}

void PlanDevice::copy_from_host(void*, const void*, int64_t) {}

void PlanDevice::copy_to_host(void* destination, const void*, int64_t bytes) {
    std::memset(destination, 0, static_cast<size_t>(bytes));
}

void* PlanDevice::allocate_bytes(int64_t bytes) {
    void* memory = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    VILA_CHECK(memory != MAP_FAILED, "no address space for a plan of ", bytes, " more bytes");
    return memory;
}

void PlanDevice::release_bytes(void* memory, int64_t bytes) noexcept {
    ::munmap(memory, static_cast<size_t>(bytes));
}

std::unique_ptr<dist::Collectives> planned_ranks(int64_t ranks) {
    return std::make_unique<PlannedRanks>(ranks);
}

}  // namespace vila::tools
