// Implements GuardedDevice on emulated CUDA. `threads` 1, 2 and 3 select the order of threads.

#include "cuda/cuda_device.h"
#include "cuda/runtime.h"
#include "tests/support/guarded_device.h"

namespace vila::testing {

class GuardedDevice::Guarded final : public cuda::CudaDevice {
  public:
    explicit Guarded(int threads) : CudaDevice(0) {
        options.launch_blocking = true;
        options.max_logits = 1 << 12;
        options.use_graphs = false;  // a graph reuses its blocks; here every block is used once
        constexpr emulation::ThreadOrder kOrders[] = {emulation::ThreadOrder::Forward,
                                                      emulation::ThreadOrder::Reversed,
                                                      emulation::ThreadOrder::Random};
        emulation::set_thread_order(stream(), kOrders[(threads - 1) % 3]);
    }

  protected:
    // Bypasses the cache, so that each block has its own guards.
    void* allocate_bytes(int64_t bytes) override {
        void* memory = nullptr;
        VILA_CUDA_CHECK(cudaMalloc(&memory, static_cast<size_t>(bytes)));
        return memory;
    }
    void release_bytes(void* memory, int64_t /*bytes*/) noexcept override {
        static_cast<void>(cudaFree(memory));
    }
};

GuardedDevice::GuardedDevice(int threads, Isa /*isa*/)
    : device_(std::make_unique<Guarded>(threads)) {}
GuardedDevice::~GuardedDevice() = default;

GuardedDevice::operator Device&() const {
    return *device_;
}
std::string GuardedDevice::name() const {
    return device_->name();
}
const MemoryCounters& GuardedDevice::memory() const {
    return device_->memory();
}
void GuardedDevice::reset_peak() {
    device_->reset_peak();
}
bool GuardedDevice::damaged() const {
    return emulation::device_memory_damaged();
}

std::vector<Isa> GuardedDevice::levels() {
    return {Isa::Avx512Bf16};
}

bool GuardedDevice::rounds_weights() {
    return true;
}

bool GuardedDevice::slow() {
    return true;
}

}  // namespace vila::testing
