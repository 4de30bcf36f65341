#include "data/loader/task_pool.h"

namespace vila::data {

TaskPool::TaskPool(int helpers) {
    for (int i = 0; i < helpers; ++i) threads_.emplace_back([this] { help(); });
}

TaskPool::~TaskPool() {
    {
        const std::lock_guard lock(mutex_);
        stops_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void TaskPool::run(int64_t count, const std::function<void(int64_t)>& body) {
    std::unique_lock lock(mutex_);
    body_ = &body;
    next_ = 0;
    count_ = count;
    changed_.notify_all();
    work(lock);
    changed_.wait(lock, [&] { return running_ == 0; });
    body_ = nullptr;
}

void TaskPool::work(std::unique_lock<std::mutex>& lock) {
    while (next_ < count_) {
        const int64_t index = next_++;
        const auto* body = body_;
        ++running_;
        lock.unlock();
        (*body)(index);
        lock.lock();
        --running_;
    }
    changed_.notify_all();
}

void TaskPool::help() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [&] { return stops_ || next_ < count_; });
        if (stops_) return;
        work(lock);
    }
}

}  // namespace vila::data
