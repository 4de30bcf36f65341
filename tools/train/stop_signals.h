#pragma once

// StopSignals: lets a loop ask whether SIGTERM or SIGINT arrived. During the lifetime of the object
// both signals are blocked in all threads, and one thread waits for them: it remembers the first
// signal, and ends the program at once on the second. Construct it before other threads start.

#include <atomic>
#include <csignal>
#include <thread>

namespace vila::tools {

class StopSignals {
  public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    // The first signal that arrived, or 0.
    int received() const { return received_.load(); }
    // The exit code that shells report for a program ended by `signal`.
    static int exit_code(int signal) { return 128 + signal; }

  private:
    void wait();

    sigset_t signals_;
    sigset_t before_;
    std::atomic<int> received_ = 0;
    std::atomic<bool> finished_ = false;
    std::thread thread_;
};

}  // namespace vila::tools
