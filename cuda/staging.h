#pragma once

// Staging: host memory on its way to the GPU. What is sent is copied here, to memory that the GPU
// reads by itself (pinned), and the host goes on: a batch is on its way while the kernels before it
// still run, where a copy from ordinary memory would wait for them.

#include <cstdint>
#include <vector>

struct CUevent_st;   // a cudaEvent_t points to one
struct CUstream_st;  // a cudaStream_t points to one

namespace vila::cuda {

class Staging {
  public:
    // More than this at once is not worth a second copy: weights, say, which nothing waits for.
    static constexpr int64_t kMostBytes = int64_t{64} << 20;

    // Keeps no more than so much pinned memory: waits instead.
    explicit Staging(int64_t most_pinned = 4 * kMostBytes) : most_pinned_(most_pinned) {}
    ~Staging();
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    // Asks the stream to copy `bytes` <= kMostBytes to the device; `source` may change at once.
    // Waits only when what is on its way reaches the most that is kept.
    void send(void* destination, const void* source, int64_t bytes, CUstream_st* stream);

  private:
    // A piece of pinned memory, and how to know that the GPU has read it.
    struct Slot {
        void* memory;
        int64_t bytes;
        CUevent_st* read;
    };
    Slot& slot_for(int64_t bytes);

    std::vector<Slot> slots_;  // those sent longest ago first
    int64_t pinned_ = 0, most_pinned_;
};

}  // namespace vila::cuda
