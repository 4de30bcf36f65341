#pragma once

// A place where tensors are stored and kernels run. A Device is created once, in `main` or in a
// test, and every tensor refers to it through its storage. It holds the allocator with its
// counters, the kernel table, and state that would otherwise be global: that of the autograd tape,
// and in a CpuDevice the number of threads.
//
// A Device belongs to one thread of control: two ranks in one process own one Device each.
// It must outlive every tensor allocated on it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tensor/check.h"

namespace vila {

struct Kernels;

// Thrown when a device has no more memory.
class OutOfMemory : public Error {
  public:
    using Error::Error;
};

enum class DeviceKind { Cpu, Cuda };

// What a device is doing, for out-of-memory errors: {"backward of ", "linear"}.
struct Activity {
    const char* what = "";
    const char* name = "";  // of the operator, or of the object that is being made
};

// Bytes of the tensors on one device.
struct MemoryCounters {
    int64_t live = 0;  // now
    int64_t peak = 0;  // the largest `live` since the last reset_peak()
};

class Device {
  public:
    Device(DeviceKind kind, const Kernels& kernels) : kind_(kind), kernels_(kernels) {}
    virtual ~Device() = default;
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    DeviceKind kind() const { return kind_; }
    const Kernels& kernels() const { return kernels_; }
    // "cpu, 2 threads, avx512_bf16" or "cuda:0 NVIDIA H100": for messages.
    virtual std::string name() const = 0;

    // Returns uninitialized memory, aligned to 64 bytes (nullptr for 0 bytes). Throws OutOfMemory.
    void* allocate(int64_t bytes);
    void release(void* memory, int64_t bytes) noexcept;
    // Copy between host memory and the memory of this device. On return `source` may change, and
    // memory of the host is complete; memory of the device is complete for every later kernel.
    virtual void copy_from_host(void* destination, const void* source, int64_t bytes) = 0;
    virtual void copy_to_host(void* destination, const void* source, int64_t bytes) = 0;
    // Returns when every kernel launched so far has finished.
    virtual void synchronize() = 0;
    // Makes later launches on this device wait for everything launched on `other` so far; the host
    // does not wait. For two devices of one GPU. Does nothing where calls run kernels at once.
    virtual void order_after(Device& /*other*/) {}
    // Runs `body` and returns a function that runs it again. A device may record the launches of
    // body and replay all of them at once (CUDA graphs), which is faster where launching takes
    // longer than the kernels. So body must launch the same kernels on the same memory each time;
    // values that change from run to run must be in memory that it reads. It must not copy from or
    // to the host, must not wait, and no tensor that it makes may outlive it. The result must not
    // outlive the device, nor the objects that body uses.
    virtual std::function<void()> capture(std::function<void()> body);

    const MemoryCounters& memory() const { return counters_; }
    void reset_peak() { counters_.peak = counters_.live; }

    // The state of the autograd tape. grad_enabled: whether operators record a node for backward();
    // autograd::NoGrad clears it. recorded: the number of nodes so far; each node keeps its number,
    // and backward() visits the nodes from the highest number down.
    bool grad_enabled = true;
    int64_t recorded = 0;
    // The operator that is running; see ActivityScope.
    Activity activity;

  protected:
    // "out of memory in ACTIVITY: N bytes more on NAME with M bytes in tensors".
    std::string out_of_memory_text(int64_t bytes) const;
    virtual void* allocate_bytes(int64_t bytes) = 0;
    virtual void release_bytes(void* memory, int64_t bytes) noexcept = 0;

  private:
    DeviceKind kind_;
    const Kernels& kernels_;
    MemoryCounters counters_;
};

// Sets the activity of a device, and restores the previous one when it is destroyed.
class ActivityScope {
  public:
    ActivityScope(Device& device, const Activity& activity)
        : device_(device), before_(device.activity) {
        device_.activity = activity;
    }
    ~ActivityScope() { device_.activity = before_; }
    ActivityScope(const ActivityScope&) = delete;
    ActivityScope& operator=(const ActivityScope&) = delete;

  private:
    Device& device_;
    Activity before_;
};

}  // namespace vila
