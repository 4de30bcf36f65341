#include "tests/cuda/emulation/stream.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/check.h"
#include "tests/cuda/emulation/device.h"
#include "tests/cuda/emulation/graph.h"

using vila::emulation::ThreadOrder;

namespace {

// One piece of work in kPauseOneIn follows a pause of less than kMaxPause microseconds.
constexpr unsigned int kPauseOneIn = 8, kMaxPause = 400;

// The OS thread of a stream.
class Worker {
  public:
    explicit Worker(unsigned int seed) : random_(seed), thread_([this] { work(); }) {}
    ~Worker() {
        {
            const std::lock_guard lock(mutex_);
            ends_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void add(std::function<void()> work) {
        {
            const std::lock_guard lock(mutex_);
            queue_.push_back(std::move(work));
        }
        changed_.notify_all();
    }

    // Waits until all work is done. Returns whether all of it succeeded.
    bool finish() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return queue_.empty() && !busy_; });
        return !failed_;
    }

  private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ends_ || !queue_.empty(); });
            if (queue_.empty()) return;
            std::function<void()> next = std::move(queue_.front());
            queue_.pop_front();
            busy_ = true;
            lock.unlock();
            run(next);
            next = nullptr;
            lock.lock();
            busy_ = false;
            changed_.notify_all();
        }
    }

    void run(const std::function<void()>& next) {
        if (random_() % kPauseOneIn == 0)
            std::this_thread::sleep_for(std::chrono::microseconds(random_() % kMaxPause));
        try {
            next();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "emulated stream: %s\n", error.what());
            const std::lock_guard lock(mutex_);
            failed_ = true;
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> queue_;
    bool busy_ = false, ends_ = false, failed_ = false;
    std::minstd_rand random_;
    std::thread thread_;  // last: it uses the rest
};

// The progress of an event: the number of its last record that a stream has reached.
struct EventProgress {
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t passed = 0;
};

std::vector<cudaStream_t>& streams() {
    thread_local std::vector<cudaStream_t> made;
    return made;
}

}  // namespace

struct CUstream_st {
    ThreadOrder order = ThreadOrder::Forward;
    uint64_t seed = 1;
    std::unique_ptr<Worker> worker;
};

struct CUevent_st {
    std::shared_ptr<EventProgress> progress = std::make_shared<EventProgress>();
    uint64_t recorded = 0;
};

namespace vila::emulation {

void set_thread_order(cudaStream_t stream, ThreadOrder order, uint64_t seed) {
    stream->order = order;
    stream->seed = seed;
}

ThreadOrder thread_order(cudaStream_t stream) {
    return stream == nullptr ? ThreadOrder::Forward : stream->order;
}

uint64_t next_seed(cudaStream_t stream) {
    return stream->seed++;
}

bool is_asynchronous(cudaStream_t stream) {
    return stream != nullptr && stream->worker != nullptr;
}

void in_stream(cudaStream_t stream, std::function<void()> work) {
    if (is_captured(stream)) return capture(stream, std::move(work));
    if (!is_asynchronous(stream)) return work();
    stream->worker->add(std::move(work));
}

void finish_streams() {
    for (const cudaStream_t stream : streams())
        if (is_asynchronous(stream)) stream->worker->finish();
}

}  // namespace vila::emulation

int vila_emulated_in_stream(void* stream, int (*work)(void* data), void* data) {
    auto* cuda_stream = static_cast<cudaStream_t>(stream);
    if (!vila::emulation::is_asynchronous(cuda_stream)) return work(data);
    vila::emulation::in_stream(cuda_stream, [work, data] {
        const int result = work(data);
        VILA_CHECK(result == 0, "a transfer failed with code ", result);
    });
    return 0;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int /*flags*/) {
    auto made = std::make_unique<CUstream_st>();
    if (vila::emulation::machine().asynchronous)
        made->worker = std::make_unique<Worker>(std::random_device()());
    *stream = made.release();
    streams().push_back(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const std::unique_ptr<CUstream_st> owner(stream);
    std::erase(streams(), stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (vila::emulation::is_captured(stream)) return vila::emulation::invalidate_capture(stream);
    if (!vila::emulation::is_asynchronous(stream)) return cudaSuccess;
    return stream->worker->finish() ? cudaSuccess : cudaErrorLaunchFailure;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int /*flags*/) {
    *event = std::make_unique<CUevent_st>().release();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const std::unique_ptr<CUevent_st> owner(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    vila::emulation::in_stream(stream, [progress = event->progress, record = ++event->recorded] {
        {
            const std::lock_guard lock(progress->mutex);
            progress->passed = std::max(progress->passed, record);
        }
        progress->changed.notify_all();
    });
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    const std::lock_guard lock(event->progress->mutex);
    return event->progress->passed >= event->recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    std::unique_lock lock(event->progress->mutex);
    event->progress->changed.wait(lock, [&] { return event->progress->passed >= event->recorded; });
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int /*flags*/) {
    vila::emulation::in_stream(stream, [progress = event->progress, record = event->recorded] {
        std::unique_lock lock(progress->mutex);
        progress->changed.wait(lock, [&] { return progress->passed >= record; });
    });
    return cudaSuccess;
}
