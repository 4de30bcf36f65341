#include "cuda/staging.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cuda/runtime.h"

namespace vila::cuda {

namespace {

// Slot sizes are powers of two, at least this one, so that the next batch can reuse the slot of the
// last one.
constexpr int64_t kMinSlot = int64_t{64} << 10;

int64_t slot_bytes(int64_t bytes) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max(bytes, kMinSlot))));
}

}  // namespace

Staging::~Staging() {
    // A destructor must not throw: errors are ignored.
    for (const Slot& slot : slots_) {
        static_cast<void>(cudaEventSynchronize(slot.read));
        static_cast<void>(cudaEventDestroy(slot.read));
        static_cast<void>(cudaFreeHost(slot.memory));
    }
}

// Returns a slot of exactly `bytes` that the GPU has read, moved to the end of slots_.
Staging::Slot& Staging::slot_for(int64_t bytes) {
    const auto fits = [&](const Slot& slot) { return slot.bytes == bytes; };
    const auto oldest = std::find_if(slots_.begin(), slots_.end(), fits);
    const bool full = pinned_ + bytes > max_pinned_;
    if (oldest != slots_.end()) {
        const cudaError_t state = cudaEventQuery(oldest->read);
        if (state != cudaErrorNotReady) VILA_CUDA_CHECK(state);
        if (full) VILA_CUDA_CHECK(cudaEventSynchronize(oldest->read));
        if (full || state == cudaSuccess) {
            std::rotate(oldest, oldest + 1, slots_.end());
            return slots_.back();
        }
    }
    while (pinned_ + bytes > max_pinned_) {  // make room: free the least recently used slots
        const Slot& first = slots_.front();
        VILA_CUDA_CHECK(cudaEventSynchronize(first.read));
        VILA_CUDA_CHECK(cudaEventDestroy(first.read));
        VILA_CUDA_CHECK(cudaFreeHost(first.memory));
        pinned_ -= first.bytes;
        slots_.erase(slots_.begin());
    }
    Slot slot = {.memory = nullptr, .bytes = bytes, .read = nullptr};
    VILA_CUDA_CHECK(cudaEventCreateWithFlags(&slot.read, cudaEventDisableTiming));
    VILA_CUDA_CHECK(cudaMallocHost(&slot.memory, static_cast<size_t>(bytes)));
    pinned_ += bytes;
    return slots_.emplace_back(slot);
}

void Staging::send(void* destination, const void* source, int64_t bytes, CUstream_st* stream) {
    VILA_ASSERT(bytes <= kMaxBytes);
    const Slot& slot = slot_for(slot_bytes(bytes));
    const auto size = static_cast<size_t>(bytes);
    std::memcpy(slot.memory, source, size);
    VILA_CUDA_CHECK(
        cudaMemcpyAsync(destination, slot.memory, size, cudaMemcpyHostToDevice, stream));
    VILA_CUDA_CHECK(cudaEventRecord(slot.read, stream));
}

}  // namespace vila::cuda
