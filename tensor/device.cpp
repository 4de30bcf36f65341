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

std::function<void()> Device::capture(std::function<void()> body) {
    body();
    return body;
}

std::string Device::out_of_memory_text(int64_t bytes) const {
    const bool named = activity.name[0] != 0;
    return str("out of memory", named ? " in " : "", activity.what, activity.name, ": ", bytes,
               " bytes more on ", name(), " with ", memory().live, " bytes in tensors");
}

}  // namespace vila
