#pragma once

// StopSignals: how training reacts to SIGTERM, SIGINT and SIGHUP. During the lifetime of the object
// these signals are blocked in all threads, and one thread waits for them. The first one starts an
// action on a thread of its own; a second one ends the program at once, where signals from the
// parent process and from others are counted separately. Under nohup, SIGHUP stays ignored.
//
// Until on_stop() sets another action, the action removes the files that are being written and ends
// the program with the exit code that shells report for the signal.

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace vila::tools {

class StopSignals {
  public:
    using Action = std::function<void(int signal)>;

    // Construct it before other threads start, so that they inherit the blocked signals. With
    // `dies_with_parent` the system kills this process when its parent dies, so that ranks do not
    // outlive their launcher; after a signal it lives on for a save.
    explicit StopSignals(bool dies_with_parent = false);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    // Connects the ranks of a job: a signal that one of them receives counts for all. `file` must
    // exist, be empty, and be accessible to all ranks.
    void share(std::filesystem::path file);
    // Sets the action; with an empty one the signal is only remembered. If a signal has arrived
    // already, waits for its action instead, which usually ends the program.
    void on_stop(Action action);
    // Sets the initial action again.
    void end_on_stop();
    // If a signal is ending the program, does not return, so that errors caused by the removal of
    // files are not printed.
    void wait_if_ending() const;

    // The first signal that arrived, or 0.
    int received() const { return received_.load(); }
    // The exit code that shells report for a program ended by `signal`.
    static int exit_code(int signal) { return 128 + signal; }
    // Removes the files that are being written, prints a line (none if it is empty) unless that
    // would wait for the reader of stderr, and ends the program. Any thread may call it.
    [[noreturn]] void end(int code, const std::string& line);

  private:
    void wait();
    void arrive(int signal, bool from_parent);
    // Starts the action. Called once, by the thread that waits for signals.
    void begin(int signal);
    // Waits for the action if it was started.
    void finish_action();
    // Begins the action if another rank has written a signal to the shared file.
    void read_shared();
    // Tells the other ranks of a signal.
    void write_shared(int signal);

    sigset_t signals_;
    sigset_t before_;
    const bool dies_with_parent_;
    const pid_t parent_;
    // Signals by sender. A launcher may pass on a signal that this process also receives directly.
    int from_parent_ = 0, from_others_ = 0;
    std::atomic<int> received_ = 0;
    std::atomic<bool> ending_ = false;
    std::atomic<bool> finished_ = false;
    std::mutex mutex_;  // guards the members below
    std::filesystem::path shared_;
    Action action_;
    std::thread action_thread_;
    std::thread thread_;
};

}  // namespace vila::tools
