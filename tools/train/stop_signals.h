#pragma once

// SIGTERM and SIGINT as a question a loop can ask. While one of these lives the signals are blocked
// in every thread and a thread of its own waits for them: the first is remembered, a second one
// ends the program at once. Make it before other threads start.

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

    // The signal that came, or 0.
    int received() const { return received_.load(); }
    // The exit code shells expect of a program that a signal ended.
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
