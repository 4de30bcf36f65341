#pragma once

// Collectives: what the ranks of a job say to each other. One interface over the ways in which
// ranks can be connected: a process alone, threads of one process (tests), MPI.
//
// Every rank calls the same functions in the same order with the same sizes; what differs is an
// error of the caller, which implementations report where they can see it (threads do, MPI cannot).
// A Collectives object belongs to one thread at a time.
//
// What is moved may be in the host's memory or in a GPU's. That of a GPU is moved where it is, by a
// GpuLink, in the order of the GPU's kernels: the host waits for none of it. Implementations
// without a link refuse it. Small things (counts, votes, texts) are the host's.
//
// An implementation moves bytes and nothing else. Bytes and seconds are counted here; tensors, and
// what is added, are the business of tensor_collectives.h.

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/device.h"

namespace vila::dist {

// Told when a collective begins and ends, on the thread that runs it.
class CollectiveObserver {
  public:
    virtual ~CollectiveObserver() = default;
    virtual void enter(const char* collective, int64_t bytes) = 0;
    virtual void leave() = 0;
};

// What collectives have cost this rank so far.
struct Traffic {
    int64_t calls = 0;
    int64_t bytes_sent = 0;  // to other ranks, as a ring would
    double seconds = 0.0;    // inside collectives, waiting for slower ranks included
    double exposed = 0.0;    // seconds of them in which the caller could do nothing else

    Traffic operator-(const Traffic& other) const {
        return {calls - other.calls, bytes_sent - other.bytes_sent, seconds - other.seconds,
                exposed - other.exposed};
    }
};

// Moves a GPU's memory between ranks. Calls return when a transfer is in line behind what was
// launched on device() before; pointers are to memory of that GPU.
class GpuLink {
  public:
    GpuLink() = default;
    virtual ~GpuLink() = default;
    GpuLink(const GpuLink&) = delete;
    GpuLink& operator=(const GpuLink&) = delete;

    // The line: a device of its own on the GPU whose tensors are moved.
    virtual Device& device() = 0;
    // As Collectives::do_...
    virtual void broadcast(void* data, int64_t bytes, int64_t root) = 0;
    virtual void all_gather(const void* in, void* out, int64_t bytes) = 0;
    virtual void all_to_all(const void* in, void* out, int64_t bytes) = 0;
    // As Collectives::broken().
    virtual std::string broken() = 0;
};

class Collectives {
  public:
    Collectives() = default;
    virtual ~Collectives() = default;
    Collectives(const Collectives&) = delete;
    Collectives& operator=(const Collectives&) = delete;

    virtual int64_t rank() const = 0;
    virtual int64_t ranks() const = 0;
    // "one process", "threads", "mpi": for messages.
    virtual std::string name() const = 0;
    // False where ranks are only planned: then no byte has moved, and only memory counts.
    virtual bool moves_bytes() const { return true; }

    // --- the host's memory ---
    // Returns once every rank has come.
    void barrier();
    // Gives every rank the root's bytes.
    void broadcast(void* data, int64_t bytes, int64_t root);
    // out (ranks blocks of `bytes`): block r is what rank r has at `in`.
    void all_gather(const void* in, void* out, int64_t bytes);
    // in, out (ranks blocks of `bytes`): block r of `in` goes to rank r, block r of `out` came from
    // rank r. The two must not overlap.
    void all_to_all(const void* in, void* out, int64_t bytes);

    // all_gather(), or all_to_all() and after it `then`, on a thread of their own; return at once.
    // What they use must stay as it is until finish(). Those that begin later come behind them, and
    // every other call waits for them first: all ranks speak in the same order.
    void begin_all_gather(const void* in, void* out, int64_t bytes);
    void begin_all_to_all(const void* in, void* out, int64_t bytes, std::function<void()> then);
    // Waits for what began, and throws what it threw. Whoever began something must call it before
    // this object ends. Of what began on a GPU, that GPU's later kernels wait instead of the host.
    void finish();

    // --- a GPU's memory ---
    // What is launched on `gpu` after a call sees what it moved.
    void broadcast(Device& gpu, void* data, int64_t bytes, int64_t root);
    void all_gather(Device& gpu, const void* in, void* out, int64_t bytes);
    void all_to_all(Device& gpu, const void* in, void* out, int64_t bytes);
    // all_gather(), or all_to_all() and after it what `then` launches on the device it is given,
    // which has a line of its own: `gpu` goes on with something else. What they use must stay until
    // finish().
    void begin_all_gather(Device& gpu, const void* in, void* out, int64_t bytes);
    void begin_all_to_all(Device& gpu, const void* in, void* out, int64_t bytes,
                          const std::function<void(Device& line)>& then);

    // What has broken behind transfers that therefore never end, in words; empty: nothing. Any
    // thread may ask.
    virtual std::string broken() { return {}; }

    const Traffic& traffic() const { return traffic_; }
    // Nobody is told at first. The observer must outlive its use.
    void set_observer(CollectiveObserver* observer) { observer_ = observer; }

  protected:
    // What moves tensors in a GPU's memory; nullptr where nothing does.
    virtual GpuLink* gpu_link() { return nullptr; }
    virtual void do_barrier() = 0;
    virtual void do_broadcast(void* data, int64_t bytes, int64_t root) = 0;
    virtual void do_all_gather(const void* in, void* out, int64_t bytes) = 0;
    virtual void do_all_to_all(const void* in, void* out, int64_t bytes) = 0;

  private:
    // Runs `call` and counts it; `blocks` blocks of `bytes` go out.
    template <typename Call>
    void counted(const char* what, int64_t bytes, int64_t blocks, const Call& call);
    template <typename Call>
    void exposed(const Call& call);
    // Runs `work` behind what began before, on a thread of its own.
    void begin(std::function<void()> work);
    // Puts `move` in line behind what was launched on `gpu`; on_gpu() finishes what began first.
    template <typename Move>
    void line_up(const char* what, Device& gpu, int64_t bytes, int64_t blocks, const Move& move);
    template <typename Move>
    void on_gpu(const char* what, Device& gpu, int64_t bytes, int64_t blocks, const Move& move);
    GpuLink& link_of(const Device& gpu);
    void finish_on_gpu();

    Traffic traffic_;
    CollectiveObserver* observer_ = nullptr;
    std::future<void> began_;
    Device* began_on_ = nullptr;  // the GPU that does not wait yet for what began
};

// A job of one rank.
std::unique_ptr<Collectives> one_process();

// --- small things: counts, norms, votes, texts ---

// Each value summed over the ranks, in f64 and in their order.
std::vector<double> sum(Collectives& collectives, std::span<const double> values);
double sum(Collectives& collectives, double value);
// The largest over the ranks.
int64_t largest(Collectives& collectives, int64_t value);
// Whether it is true on every rank, on any rank.
bool all_of(Collectives& collectives, bool value);
bool any_of(Collectives& collectives, bool value);
// Every rank's text, by rank.
std::vector<std::string> all_gather(Collectives& collectives, const std::string& text);

}  // namespace vila::dist
