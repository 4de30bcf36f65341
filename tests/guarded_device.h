#pragma once

// A CPU device for tests: every block of memory it hands out has guard bytes before and after it,
// starts full of NaN, and is never reused, so that a kernel that writes outside its output or
// leaves a part of it unwritten is seen. Threads are used from the first element on.

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "tensor/cpu/cpu_device.h"

namespace vila::testing {

class GuardedDevice final : public CpuDevice {
  public:
    explicit GuardedDevice(int threads = 1, Isa isa = Isa::Avx512Bf16)
        : CpuDevice(cpu_kernels::table(), threads, isa) {
        elements_per_thread = 1;
    }
    ~GuardedDevice() override {
        for (const auto& [block, bytes] : blocks_) std::free(block - kGuard);
    }

    // Whether a guard byte of any block, freed or alive, was overwritten.
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

}  // namespace vila::testing
