#pragma once

// TaskPool: threads that execute one parallel loop at a time.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vila::data {

class TaskPool {
  public:
    // `helpers` threads work in addition to the thread that calls run(); 0 is legal.
    explicit TaskPool(int helpers);
    ~TaskPool();
    TaskPool(const TaskPool&) = delete;
    TaskPool& operator=(const TaskPool&) = delete;

    // Calls body(0), ..., body(count - 1), each once, in any order and on any thread. Returns after
    // all calls have returned. `body` must not throw. Only one run() at a time.
    void run(int64_t count, const std::function<void(int64_t)>& body);

  private:
    void help();
    // Takes indices until none is left; `lock` is held before and after.
    void work(std::unique_lock<std::mutex>& lock);

    std::mutex mutex_;
    std::condition_variable changed_;
    const std::function<void(int64_t)>* body_ = nullptr;  // of the current loop
    int64_t next_ = 0, count_ = 0;  // indices [next_, count_) are not yet taken
    int64_t running_ = 0;           // calls in progress
    bool stops_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace vila::data
