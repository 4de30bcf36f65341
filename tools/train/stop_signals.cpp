#include "tools/train/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

namespace vila::tools {

namespace {

// How often the waiting thread checks whether to end.
constexpr timespec kPollInterval = {.tv_sec = 0, .tv_nsec = 100'000'000};

}  // namespace

StopSignals::StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    thread_ = std::thread([this] { wait(); });
}

StopSignals::~StopSignals() {
    finished_ = true;
    thread_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::wait() {
    while (!finished_) {
        const int signal = sigtimedwait(&signals_, nullptr, &kPollInterval);
        if (signal <= 0) continue;
        if (received_ != 0) _exit(exit_code(signal));
        received_ = signal;
    }
}

}  // namespace vila::tools
