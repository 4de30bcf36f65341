// Replaces operator new of the test program, so that FailingCall can make it fail. It has its own
// file so that the compiler cannot optimize away pairs of new and delete elsewhere.

#include <cstdlib>
#include <new>

#include "tests/faults/system_calls.h"

namespace {

void* aligned(size_t bytes, std::align_val_t alignment) {
    const auto multiple = static_cast<size_t>(alignment);
    return std::aligned_alloc(multiple, (bytes + multiple - 1) / multiple * multiple);
}

}  // namespace

void* operator new(size_t bytes) {
    void* memory = vila::allocation_fails() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
void* operator new(size_t bytes, std::align_val_t alignment) {
    void* memory = vila::allocation_fails() ? nullptr : aligned(bytes, alignment);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
// The nothrow versions are replaced too: those of a sanitizer would not match free().
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
    return vila::allocation_fails() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return vila::allocation_fails() ? nullptr : aligned(bytes, alignment);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
    std::free(memory);
}
