// Implements GuardedDevice on the CPU.

#include "tests/support/guarded_device.h"

#include <cstdlib>
#include <cstring>
#include <map>

#include "tensor/cpu/kernels.h"

namespace vila::testing {

class GuardedDevice::Guarded final : public CpuDevice {
  public:
    Guarded(int threads, Isa isa) : CpuDevice(cpu_kernels::table(), threads, isa) {
        elements_per_thread = 1;
    }
    ~Guarded() override {
        for (const auto& [block, bytes] : blocks_) std::free(block - kGuard);
    }

    bool damaged() const {
        bool bad = damaged_;
        for (const auto& [block, bytes] : blocks_) bad = bad || !intact(block, bytes);
        return bad;
    }

  protected:
    void* allocate_bytes(int64_t bytes) override {
        const auto rounded = static_cast<size_t>((bytes + 2 * kGuard + 63) / 64 * 64);
        char* block = static_cast<char*>(std::aligned_alloc(64, rounded)) + kGuard;
        std::memset(block - kGuard, kSentinel, kGuard);
        std::memset(block, 0xff, static_cast<size_t>(bytes));
        std::memset(block + bytes, kSentinel, kGuard);
        blocks_[block] = bytes;
        return block;
    }
    void release_bytes(void* memory, int64_t bytes) noexcept override {
        char* block = static_cast<char*>(memory);
        damaged_ = damaged_ || !intact(block, bytes);
        blocks_.erase(block);
        std::free(block - kGuard);
    }

  private:
    static constexpr int64_t kGuard = 64;
    static constexpr char kSentinel = 0x5a;

    static bool intact(const char* block, int64_t bytes) {
        for (int64_t i = 0; i < kGuard; ++i)
            if (block[i - kGuard] != kSentinel || block[bytes + i] != kSentinel) return false;
        return true;
    }

    std::map<char*, int64_t> blocks_;
    bool damaged_ = false;
};

GuardedDevice::GuardedDevice(int threads, Isa isa)
    : device_(std::make_unique<Guarded>(threads, isa)) {}
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
    std::vector<Isa> levels;
    for (const Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::Amx})
        if (isa <= detect_isa()) levels.push_back(isa);
    return levels;
}

bool GuardedDevice::rounds_weights() {
    return false;
}

bool GuardedDevice::slow() {
    return false;
}

}  // namespace vila::testing
