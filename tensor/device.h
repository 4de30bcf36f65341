#pragma once

// A place where tensors live and kernels run. A Device is made once, in `main` or in a test, and is
// reached through every tensor's storage: it carries the allocator with its counters, the kernel
// table, and the switches that would otherwise be global (gradient recording, thread count).
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

// There is no more memory on a device.
class OutOfMemory : public Error {
  public:
    using Error::Error;
};

enum class DeviceKind { Cpu, Cuda };

// What a device is about, in the words of the message when memory runs out: "backward of "
// "linear".
struct Activity {
    const char* what = "";
    const char* name = "";  // of an operator, or of what is made
};

// Bytes held in tensors on one device.
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

    // Uninitialised memory, aligned to 64 bytes (nullptr for 0 bytes); throws when there is none.
    void* allocate(int64_t bytes);
    void release(void* memory, int64_t bytes) noexcept;
    // Between this device's memory and the host's; returns when the copy is done.
    virtual void copy_from_host(void* destination, const void* source, int64_t bytes) = 0;
    virtual void copy_to_host(void* destination, const void* source, int64_t bytes) = 0;
    // Returns when every kernel launched before has finished.
    virtual void synchronize() = 0;
    // What is launched here from now on runs after everything launched on `other` so far; the host
    // does not wait. For two devices of one GPU; where kernels run as they are called, nothing.
    virtual void order_after(Device& /*other*/) {}
    // Runs `body`, and returns what runs it again. A device on which launching takes longer than
    // the kernels may record what body launches and start all of it at once from then on. So body
    // must launch the same kernels on the same memory each time: what changes from run to run lies
    // in memory that it reads. It copies nothing from or to the host, does not wait, and no tensor
    // that it makes may outlive it. The result must not outlive the device, nor what body uses.
    virtual std::function<void()> capture(std::function<void()> body);

    const MemoryCounters& memory() const { return counters_; }
    void reset_peak() { counters_.peak = counters_.live; }

    // Whether operators record what backward needs; see autograd::NoGrad.
    bool grad_enabled = true;
    // Operators recorded so far: the order in which backward() goes back.
    int64_t recorded = 0;
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

// Names the activity of a device for as long as it lives.
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
