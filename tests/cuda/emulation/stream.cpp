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

// One piece of work in so many is preceded by a pause of up to so many microseconds.
constexpr unsigned int kPauseOneIn = 8, kLongestPause = 400;

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
            line_.push_back(std::move(work));
        }
        changed_.notify_all();
    }

    // Until all is done; whether all of it succeeded.
    bool finish() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return line_.empty() && !busy_; });
        return !failed_;
    }

  private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ends_ || !line_.empty(); });
            if (line_.empty()) return;
            std::function<void()> next = std::move(line_.front());
            line_.pop_front();
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
            std::this_thread::sleep_for(std::chrono::microseconds(random_() % kLongestPause));
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
    std::deque<std::function<void()>> line_;
    bool busy_ = false, ends_ = false, failed_ = false;
    std::minstd_rand random_;
    std::thread thread_;  // last: it uses the rest
};

// How far a stream has come, for those that wait for it.
struct Marks {
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
    std::shared_ptr<Marks> marks = std::make_shared<Marks>();
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
    auto* line = static_cast<cudaStream_t>(stream);
    if (!vila::emulation::is_asynchronous(line)) return work(data);
    vila::emulation::in_stream(line, [work, data] {
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
    if (vila::emulation::is_captured(stream)) return vila::emulation::void_capture(stream);
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
    vila::emulation::in_stream(stream, [marks = event->marks, mark = ++event->recorded] {
        {
            const std::lock_guard lock(marks->mutex);
            marks->passed = std::max(marks->passed, mark);
        }
        marks->changed.notify_all();
    });
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    const std::lock_guard lock(event->marks->mutex);
    return event->marks->passed >= event->recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    std::unique_lock lock(event->marks->mutex);
    event->marks->changed.wait(lock, [&] { return event->marks->passed >= event->recorded; });
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int /*flags*/) {
    vila::emulation::in_stream(stream, [marks = event->marks, mark = event->recorded] {
        std::unique_lock lock(marks->mutex);
        marks->changed.wait(lock, [&] { return marks->passed >= mark; });
    });
    return cudaSuccess;
}
