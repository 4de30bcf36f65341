#include "tensor/device.h"

#include <algorithm>

namespace vila {

void* Device::allocate(int64_t bytes) {
    if (bytes == 0) return nullptr;
    void* memory = allocate_bytes(bytes);
    counters_.live += bytes;
    counters_.peak = std::max(counters_.peak, counters_.live);
    return memory;
}

void Device::release(void* memory, int64_t bytes) noexcept {
    if (memory == nullptr) return;
    counters_.live -= bytes;
    release_bytes(memory, bytes);
}

}  // namespace vila
