// Implements GuardedDevice on a GPU. The number of threads is ignored: the hardware runs threads in
// its own order, and the tests expect the same bits every time.

#include "tests/support/guarded_device.h"

#include <algorithm>
#include <map>

#include "cuda/cuda_device.h"
#include "cuda/runtime.h"

namespace vila::testing {

namespace {

constexpr size_t kGuard = 256;  // keeps the alignment of the GPU's blocks
constexpr int kSentinel = 0x5a;

}  // namespace

class GuardedDevice::Guarded final : public cuda::CudaDevice {
  public:
    Guarded() : CudaDevice(0) {
        options.launch_blocking = true;
        options.max_logits = 1 << 12;
        options.use_graphs = false;  // a graph reuses its blocks; here every block is used once
    }
    ~Guarded() override {
        for (const auto& [block, bytes] : blocks_) static_cast<void>(cudaFree(block - kGuard));
    }

    bool damaged() {
        synchronize();
        for (const auto& [block, bytes] : blocks_) check(block, bytes);
        return damaged_;
    }

  protected:
    void* allocate_bytes(int64_t bytes) override {
        const auto size = static_cast<size_t>(bytes);
        void* memory = nullptr;
        VILA_CUDA_CHECK(cudaMalloc(&memory, size + 2 * kGuard));
        VILA_CUDA_CHECK(cudaMemset(memory, kSentinel, size + 2 * kGuard));
        char* block = static_cast<char*>(memory) + kGuard;
        VILA_CUDA_CHECK(cudaMemset(block, 0xff, size));
        blocks_[block] = size;
        return block;
    }
    void release_bytes(void* memory, int64_t bytes) noexcept override {
        auto* block = static_cast<char*>(memory);
        static_cast<void>(cudaStreamSynchronize(stream()));
        check(block, static_cast<size_t>(bytes));
        blocks_.erase(block);
        static_cast<void>(cudaFree(block - kGuard));
    }

  private:
    void check(const char* block, size_t bytes) noexcept {
        for (const char* guard : {block - kGuard, block + bytes}) {
            char seen[kGuard] = {};
            const bool read =
                cudaMemcpy(seen, guard, kGuard, cudaMemcpyDeviceToHost) == cudaSuccess;
            const bool intact = std::all_of(std::begin(seen), std::end(seen),
                                            [](char byte) { return byte == kSentinel; });
            damaged_ = damaged_ || !read || !intact;
        }
    }

    std::map<char*, size_t> blocks_;
    bool damaged_ = false;
};

GuardedDevice::GuardedDevice(int /*threads*/, Isa /*isa*/) : device_(std::make_unique<Guarded>()) {}
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
    return device_->damaged();
}

std::vector<Isa> GuardedDevice::levels() {
    return {Isa::Avx512Bf16};
}

bool GuardedDevice::rounds_weights() {
    return true;
}

bool GuardedDevice::slow() {
    return false;
}

}  // namespace vila::testing
