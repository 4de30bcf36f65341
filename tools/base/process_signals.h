#pragma once

// Handles signals and closed descriptors for a command. Training has its own rules for SIGTERM,
// SIGINT and SIGHUP (tools/train/stop_signals.h).

#include <atomic>
#include <csignal>
#include <thread>

namespace vila::tools {

// Construct it first in main(), before other threads exist.
class ProcessSignals {
  public:
    // Opens /dev/null in place of closed standard descriptors, so that no file that is opened later
    // takes their numbers. In place of standard output it is opened for reading only, so that
    // writing a result fails and is reported. Ignores SIGPIPE and SIGXFSZ: the write fails instead,
    // and files can be cleaned up.
    ProcessSignals();
    ~ProcessSignals();
    ProcessSignals(const ProcessSignals&) = delete;
    ProcessSignals& operator=(const ProcessSignals&) = delete;

    // From now on SIGINT, SIGTERM and SIGHUP first remove the files that are being written, and
    // then end the process as they do by default. A signal that is ignored stays ignored.
    void clean_up_on_stop();
    // If a signal is ending the process, does not return, so that errors caused by the removal of
    // files are not printed.
    void wait_if_stopping() const;
    // Ends the process as SIGPIPE does by default, after the reader of a pipe has gone. Returns if
    // the process was started with SIGPIPE ignored.
    void end_for_closed_pipe() const;

    // Gives a child process the default signals; called between fork() and exec().
    static void restore_in_child();

  private:
    void wait();

    bool ignored_pipe_ = false;
    std::atomic<bool> stopping_ = false;
    sigset_t signals_ = {};
    int signal_descriptor_ = -1, finish_descriptor_ = -1;
    std::thread thread_;
};

}  // namespace vila::tools
