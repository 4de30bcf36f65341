#pragma once

// Threads that share one loop at a time.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vila::data {

class TaskPool {
  public:
    // `helpers` threads work beside the one that calls run(); 0 is legal.
    explicit TaskPool(int helpers);
    ~TaskPool();
    TaskPool(const TaskPool&) = delete;
    TaskPool& operator=(const TaskPool&) = delete;

    // Calls body(0), ..., body(count - 1), each once, in any order and on any thread; returns when
    // all have returned. `body` must not throw. One call at a time.
    void run(int64_t count, const std::function<void(int64_t)>& body);

  private:
    void help();
    // Takes indices until none is left; `lock` is held before and after.
    void work(std::unique_lock<std::mutex>& lock);

    std::mutex mutex_;
    std::condition_variable changed_;
    const std::function<void(int64_t)>* body_ = nullptr;  // of the loop under way
    int64_t next_ = 0, count_ = 0;                        // its indices not yet taken
    int64_t running_ = 0;                                 // calls under way
    bool stops_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace vila::data
