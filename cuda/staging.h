#pragma once

// Staging: asynchronous copies from the host to the GPU. Each copy goes through a buffer of pinned
// memory, which the GPU reads by itself, so the host continues at once and a batch is transferred
// while earlier kernels run. A copy from ordinary memory would have to wait for them.

#include <cstdint>
#include <vector>

struct CUevent_st;   // a cudaEvent_t points to one
struct CUstream_st;  // a cudaStream_t points to one

namespace vila::cuda {

class Staging {
  public:
    // The largest copy to stage. A second copy in memory is not worth it for more, such as weights,
    // which nothing waits for.
    static constexpr int64_t kMaxBytes = int64_t{64} << 20;

    // Allocates at most `max_pinned` bytes of pinned memory, and waits for a buffer beyond that.
    explicit Staging(int64_t max_pinned = 4 * kMaxBytes) : max_pinned_(max_pinned) {}
    ~Staging();
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    // Enqueues a copy of `bytes` <= kMaxBytes to the device; `source` may change as soon as this
    // returns. Waits only when the copies in flight use all of max_pinned.
    void send(void* destination, const void* source, int64_t bytes, CUstream_st* stream);

  private:
    // A buffer of pinned memory, and the event that fires when the GPU has read it.
    struct Slot {
        void* memory;
        int64_t bytes;
        CUevent_st* read;
    };
    Slot& slot_for(int64_t bytes);

    std::vector<Slot> slots_;  // least recently used first
    int64_t pinned_ = 0, max_pinned_;
};

}  // namespace vila::cuda
