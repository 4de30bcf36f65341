// Tensor cores and asynchronous copies, emulated; the register layouts are in cuda/ptx.h.

#include <cuda_ptx.h>

#include "tensor/check.h"
#include "tensor/dtype.h"
#include "tests/cuda/emulation/device.h"

namespace vila::cuda {
extern unsigned char dynamic_shared_memory[];
}

namespace vila::cuda::ptx {

namespace {

constexpr int kLanes = 32;
constexpr size_t kCopyBytes = 16;

using emulation::running_thread;

// A kernel cannot throw from its fiber. The launch throws when the scheduler runs again.
void check_place(const void* address, bool shared, const char* what) {
    const auto at = reinterpret_cast<uintptr_t>(address);
    const auto begin = reinterpret_cast<uintptr_t>(dynamic_shared_memory);
    const bool is_shared = at >= begin && at - begin < emulation::kMaxSharedBytes;
    if (at % kCopyBytes != 0)
        emulation::report_violation(str(what, " at an address that is not a multiple of 16"));
    else if (is_shared != shared)
        emulation::report_violation(
            str(what, shared ? " outside shared memory" : " of shared memory, expected global"));
}

float low_half(uint32_t packed) {
    return std::bit_cast<float>(packed << 16);
}
float high_half(uint32_t packed) {
    return std::bit_cast<float>(packed & 0xffff0000U);
}

// Element (row, column) of matrix i, whose row addresses are those of lanes 8 i to 8 i + 7.
uint16_t element(void* const* lanes, int i, int row, int column) {
    const auto* at = static_cast<const unsigned char*>(
        static_cast<const model::Matrices*>(lanes[8 * i + row])->row);
    uint16_t value = 0;
    std::memcpy(&value, at + 2 * column, sizeof(value));
    return value;
}

void load(void* const* lanes, bool transposed) {
    for (int lane = 0; lane < kLanes; ++lane) {
        const auto& to = *static_cast<const model::Matrices*>(lanes[lane]);
        check_place(to.row, true, "ldmatrix");
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; ++i) {
            const uint32_t low =
                transposed ? element(lanes, i, 2 * t, g) : element(lanes, i, g, 2 * t);
            const uint32_t high =
                transposed ? element(lanes, i, 2 * t + 1, g) : element(lanes, i, g, 2 * t + 1);
            to.registers[i] = high << 16 | low;
        }
    }
}

}  // namespace

namespace model {

void ldmatrix(void* const* lanes) {
    load(lanes, false);
}

void ldmatrix_trans(void* const* lanes) {
    load(lanes, true);
}

void mma(void* const* lanes) {
    float a[16][16], b[8][16];  // b by columns
    for (int lane = 0; lane < kLanes; ++lane) {
        const auto& from = *static_cast<const Product*>(lanes[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; ++i) {
            float* two = a[g + i % 2 * 8] + i / 2 * 8 + 2 * t;
            two[0] = low_half(from.a[i]);
            two[1] = high_half(from.a[i]);
        }
        for (int i = 0; i < 2; ++i) {
            b[g][i * 8 + 2 * t] = low_half(from.b[i]);
            b[g][i * 8 + 2 * t + 1] = high_half(from.b[i]);
        }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
        const auto& to = *static_cast<const Product*>(lanes[lane]);
        for (int i = 0; i < 4; ++i) {
            const float* row = a[lane / 4 + i / 2 * 8];
            const float* column = b[lane % 4 * 2 + i % 2];
            // Products of two bf16 are exact in f32. The order and the precision of a tensor core's
            // sum are not documented.
            float sum = to.c[i];
            for (int k = 0; k < 16; ++k) sum += row[k] * column[k];
            to.c[i] = sum;
        }
    }
}

}  // namespace model

void cp_async(void* shared, const void* global, bool real) {
    check_place(shared, true, "cp.async to");
    if (real) check_place(global, false, "cp.async from");
    std::memset(shared, 0xff, kCopyBytes);
    running_thread->copies.push_back({shared, real ? global : nullptr});
}

void cp_async_commit_group() {
    running_thread->copy_groups.push_back(running_thread->copies.size());
}

void finish_copies(int groups) {
    auto& thread = *running_thread;
    if (thread.copy_groups.size() <= static_cast<size_t>(groups)) return;
    const size_t closed = thread.copy_groups.size() - static_cast<size_t>(groups);
    const size_t count = thread.copy_groups[closed - 1];
    for (size_t i = 0; i < count; ++i) {
        const auto& copy = thread.copies[i];
        if (copy.from == nullptr) {
            std::memset(copy.to, 0, kCopyBytes);
        } else {
            std::memcpy(copy.to, copy.from, kCopyBytes);
        }
    }
    thread.copies.erase(thread.copies.begin(),
                        thread.copies.begin() + static_cast<std::ptrdiff_t>(count));
    thread.copy_groups.erase(thread.copy_groups.begin(),
                             thread.copy_groups.begin() + static_cast<std::ptrdiff_t>(closed));
    for (size_t& end : thread.copy_groups) end -= count;
}

uint32_t pack_bf16(float low, float high) {
    return uint32_t{BFloat16(high).bits} << 16 | BFloat16(low).bits;
}

}  // namespace vila::cuda::ptx
