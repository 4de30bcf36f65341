// Device memory and errors, emulated.

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "tests/cuda/emulation/device.h"
#include "tests/cuda/emulation/stream.h"

namespace vila::emulation {

namespace {

constexpr size_t kGuard = 64;
constexpr char kSentinel = 0x5a;

// The live blocks of this OS thread, by address.
struct Blocks {
    std::map<char*, size_t> bytes;
};

Blocks& blocks() {
    thread_local Blocks live;
    return live;
}

bool intact(const char* block, size_t bytes) {
    const char *front = block - kGuard, *back = block + bytes;
    for (size_t i = 0; i < kGuard; ++i)
        if (front[i] != kSentinel || back[i] != kSentinel) return false;
    return true;
}

// The machine that environment variables describe.
Machine machine_from_environment() {
    Machine machine;
    if (const char* gpus = std::getenv("VILA_EMULATED_GPUS")) machine.devices = std::stoi(gpus);
    machine.asynchronous = std::getenv("VILA_EMULATED_STREAMS") != nullptr;
    return machine;
}

}  // namespace

Machine& machine() {
    thread_local Machine emulated = machine_from_environment();
    return emulated;
}

bool device_memory_damaged() {
    bool bad = machine().guards_damaged;
    for (const auto& [block, bytes] : blocks().bytes) bad = bad || !intact(block, bytes);
    return bad;
}

}  // namespace vila::emulation

using vila::emulation::blocks;
using vila::emulation::kGuard;
using vila::emulation::kSentinel;
using vila::emulation::machine;

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorInvalidValue:
            return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorInsufficientDriver:
            return "cudaErrorInsufficientDriver";
        case cudaErrorNoDevice:
            return "cudaErrorNoDevice";
        case cudaErrorInvalidDevice:
            return "cudaErrorInvalidDevice";
        case cudaErrorNoKernelImageForDevice:
            return "cudaErrorNoKernelImageForDevice";
        case cudaErrorNotReady:
            return "cudaErrorNotReady";
        case cudaErrorStreamCaptureUnsupported:
            return "cudaErrorStreamCaptureUnsupported";
        case cudaErrorStreamCaptureInvalidated:
            return "cudaErrorStreamCaptureInvalidated";
        case cudaErrorLaunchFailure:
            return "cudaErrorLaunchFailure";
    }
    return "unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
    return cudaGetErrorName(error);
}

cudaError_t cudaGetLastError() {
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = machine().devices;
    return machine().count_result;
}

cudaError_t cudaSetDevice(int device) {
    return device >= 0 && device < machine().devices ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (device < 0 || device >= machine().devices) return cudaErrorInvalidDevice;
    *properties = {};
    std::strcpy(properties->name, "emulated GPU");
    properties->major = machine().major;
    properties->minor = machine().minor;
    properties->multiProcessorCount = 4;
    properties->totalGlobalMem = static_cast<size_t>(machine().memory_bytes);
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = machine().driver_version;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = machine().runtime_version;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* /*kernel*/) {
    *attributes = {};
    return machine().has_kernel_image ? cudaSuccess : cudaErrorNoKernelImageForDevice;
}

cudaError_t cudaFuncSetAttribute(const void* /*kernel*/, cudaFuncAttribute /*attribute*/,
                                 int value) {
    return value >= 0 && value <= static_cast<int>(vila::emulation::kMaxSharedBytes)
               ? cudaSuccess
               : cudaErrorInvalidValue;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
    *free_bytes = static_cast<size_t>(machine().memory_bytes - machine().used_bytes);
    *total_bytes = static_cast<size_t>(machine().memory_bytes);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
    *memory = nullptr;
    if (machine().used_bytes + static_cast<int64_t>(bytes) > machine().memory_bytes)
        return cudaErrorMemoryAllocation;
    // Aligned like memory of the real cudaMalloc, with guards around it.
    const size_t front = 256, rounded = (front + bytes + kGuard + 255) / 256 * 256;
    auto* base = static_cast<char*>(std::aligned_alloc(256, rounded));
    if (base == nullptr) return cudaErrorMemoryAllocation;
    char* block = base + front;
    std::memset(block - kGuard, kSentinel, kGuard);
    std::memset(block, 0xff, bytes);
    std::memset(block + bytes, kSentinel, kGuard);
    blocks().bytes[block] = bytes;
    machine().used_bytes += static_cast<int64_t>(bytes);
    ++machine().allocations;
    *memory = block;
    return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
    if (memory == nullptr) return cudaSuccess;
    auto* block = static_cast<char*>(memory);
    const auto found = blocks().bytes.find(block);
    if (found == blocks().bytes.end()) std::abort();
    vila::emulation::finish_streams();
    if (!vila::emulation::intact(block, found->second)) machine().guards_damaged = true;
    machine().used_bytes -= static_cast<int64_t>(found->second);
    std::memset(block, 0xff, found->second);
    blocks().bytes.erase(found);
    std::free(block - 256);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
    *memory = std::malloc(bytes);
    if (*memory == nullptr) return cudaErrorMemoryAllocation;
    ++machine().pinned_blocks;
    ++machine().allocations;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
    vila::emulation::finish_streams();
    --machine().pinned_blocks;
    std::free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
    if (kind == cudaMemcpyDeviceToHost) machine().bytes_to_host += static_cast<int64_t>(bytes);
    vila::emulation::in_stream(stream, [=] { std::memcpy(destination, source, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int byte, size_t bytes, cudaStream_t stream) {
    vila::emulation::in_stream(stream, [=] { std::memset(memory, byte, bytes); });
    return cudaSuccess;
}
