#pragma once

// Collectives: the communication between the ranks of a job. One interface for a single process,
// for ranks that are threads of one process (tests), for MPI and for NCCL.
//
// Every rank must call the same functions in the same order with the same sizes. Implementations
// throw for calls that differ if they can detect them (threads can, MPI cannot). Only one thread at
// a time may use a Collectives object.
//
// Data may be in host memory or in GPU memory. A GpuLink moves data directly between GPUs, in order
// with the kernels of each GPU, without making the host wait. Implementations without a link throw
// for GPU data. Small values (counts, totals, texts) always travel through host memory.
//
// An implementation only moves bytes. This class counts bytes and seconds; tensors and sums are in
// tensor_collectives.h.

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/device.h"

namespace vila::dist {

// Is notified when a collective begins and ends, on the thread that runs it.
class CollectiveObserver {
  public:
    virtual ~CollectiveObserver() = default;
    virtual void enter(const char* collective, int64_t bytes) = 0;
    virtual void leave() = 0;
};

// The cost of the collectives of this rank so far.
struct Traffic {
    int64_t calls = 0;
    int64_t bytes_sent = 0;  // to other ranks, by the formulas of a ring
    double seconds = 0.0;    // in collectives, including the wait for slower ranks
    double exposed = 0.0;    // seconds for which a collective blocked the caller

    Traffic operator-(const Traffic& other) const {
        return {calls - other.calls, bytes_sent - other.bytes_sent, seconds - other.seconds,
                exposed - other.exposed};
    }
};

// Moves data between the GPUs of the ranks. Calls return once the transfer is enqueued on the
// stream of device(); pointers are to memory of that GPU.
class GpuLink {
  public:
    GpuLink() = default;
    virtual ~GpuLink() = default;
    GpuLink(const GpuLink&) = delete;
    GpuLink& operator=(const GpuLink&) = delete;

    // A second Device for the GPU whose data is moved. Its stream carries the transfers.
    virtual Device& device() = 0;
    // The same arguments as those of Collectives::do_broadcast() and so on.
    virtual void broadcast(void* data, int64_t bytes, int64_t root) = 0;
    virtual void all_gather(const void* in, void* out, int64_t bytes) = 0;
    virtual void all_to_all(const void* in, void* out, int64_t bytes) = 0;
    // See Collectives::transfer_error().
    virtual std::string transfer_error() = 0;
};

class Collectives {
  public:
    Collectives() = default;
    virtual ~Collectives() = default;
    Collectives(const Collectives&) = delete;
    Collectives& operator=(const Collectives&) = delete;

    virtual int64_t rank() const = 0;
    virtual int64_t ranks() const = 0;
    // For messages: "one process", "threads", "mpi" or "nccl".
    virtual std::string name() const = 0;
    // False when a job is only planned (`vila plan`): nothing moves, and only memory is counted.
    virtual bool moves_bytes() const { return true; }

    // --- data in host memory ---
    // Returns once every rank has called barrier().
    void barrier();
    // Copies the root's bytes to every rank.
    void broadcast(void* data, int64_t bytes, int64_t root);
    // `in` is one block of `bytes` bytes, `out` is ranks() such blocks: block r of `out` becomes a
    // copy of rank r's `in`.
    void all_gather(const void* in, void* out, int64_t bytes);
    // `in` and `out` are ranks() blocks of `bytes` bytes each: block r of `in` is sent to rank r,
    // and block r of `out` is received from rank r. The two must not overlap.
    void all_to_all(const void* in, void* out, int64_t bytes);

    // Start all_gather(), or all_to_all() followed by `then`, on a background thread, and return at
    // once. The caller must not touch their buffers before finish(). Background collectives run in
    // the order of their calls, and every other call waits for them first, so that all ranks run
    // their collectives in the same order.
    void begin_all_gather(const void* in, void* out, int64_t bytes);
    void begin_all_to_all(const void* in, void* out, int64_t bytes, std::function<void()> then);
    // Waits for the background collectives and rethrows their error. After begin_...(), it must be
    // called before this object is destroyed. For collectives on a GPU, the host does not wait: the
    // kernels that are launched on that GPU afterwards do.
    void finish();

    // --- data in GPU memory ---
    // Kernels launched on `gpu` after a call see the received data.
    void broadcast(Device& gpu, void* data, int64_t bytes, int64_t root);
    void all_gather(Device& gpu, const void* in, void* out, int64_t bytes);
    void all_to_all(Device& gpu, const void* in, void* out, int64_t bytes);
    // Enqueue all_gather(), or all_to_all() followed by the kernels that `then` launches on the
    // device `stream`. They run concurrently with later kernels of `gpu`. The caller must not touch
    // their buffers before finish().
    void begin_all_gather(Device& gpu, const void* in, void* out, int64_t bytes);
    void begin_all_to_all(Device& gpu, const void* in, void* out, int64_t bytes,
                          const std::function<void(Device& stream)>& then);

    // Describes an error that keeps transfers from completing; empty if there is none. Any thread
    // may call it.
    virtual std::string transfer_error() { return {}; }

    const Traffic& traffic() const { return traffic_; }
    // Sets the observer, which must stay valid until it is replaced; nullptr, the initial value,
    // for none.
    void set_observer(CollectiveObserver* observer) { observer_ = observer; }

  protected:
    // The link that moves data in GPU memory; nullptr if this implementation has none.
    virtual GpuLink* gpu_link() { return nullptr; }
    virtual void do_barrier() = 0;
    virtual void do_broadcast(void* data, int64_t bytes, int64_t root) = 0;
    virtual void do_all_gather(const void* in, void* out, int64_t bytes) = 0;
    virtual void do_all_to_all(const void* in, void* out, int64_t bytes) = 0;

  private:
    // Runs `call` and counts its traffic: this rank sends `blocks` blocks of `bytes` bytes.
    template <typename Call>
    void count(const char* what, int64_t bytes, int64_t blocks, const Call& call);
    // Waits for the background collectives, runs `call`, and counts the seconds as exposed.
    template <typename Call>
    void block_on(const Call& call);
    // Runs `work` on a background thread, after all work that was begun earlier.
    void begin(std::function<void()> work);
    // Enqueues `move` on the link's stream, after the kernels launched on `gpu` so far.
    template <typename Move>
    void enqueue(const char* what, Device& gpu, int64_t bytes, int64_t blocks, const Move& move);
    // enqueue(), after waiting for the background collectives; counts the seconds as exposed.
    template <typename Move>
    void enqueue_blocking(const char* what, Device& gpu, int64_t bytes, int64_t blocks,
                          const Move& move);
    GpuLink& link_of(const Device& gpu);
    void finish_on_gpu();

    Traffic traffic_;
    CollectiveObserver* observer_ = nullptr;
    std::future<void> background_;
    // The GPU whose kernels do not wait yet for the background transfers; nullptr if there is none.
    Device* background_gpu_ = nullptr;
};

// A job of one rank.
std::unique_ptr<Collectives> one_process();

// --- small values in host memory ---

// Sums each value over the ranks, in f64, in the order of the ranks.
std::vector<double> sum(Collectives& collectives, std::span<const double> values);
double sum(Collectives& collectives, double value);
// The largest value of any rank.
int64_t largest(Collectives& collectives, int64_t value);
// True if `value` is true on every rank (all_of) or on at least one (any_of).
bool all_of(Collectives& collectives, bool value);
bool any_of(Collectives& collectives, bool value);
// The texts of all ranks, in the order of the ranks.
std::vector<std::string> all_gather(Collectives& collectives, const std::string& text);

}  // namespace vila::dist
