#include "tools/base/process_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "tensor/check.h"
#include "tensor/temporary_name.h"

namespace vila::tools {

namespace {

void open_if_closed(int descriptor, int flags) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) return;
    const int opened = ::open("/dev/null", flags);
    if (opened < 0 || opened == descriptor) return;
    ::dup2(opened, descriptor);
    ::close(opened);
}

bool is_ignored(int signal) {
    struct sigaction action = {};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

ProcessSignals::ProcessSignals() : ignored_pipe_(is_ignored(SIGPIPE)) {
    open_if_closed(STDIN_FILENO, O_RDONLY);
    open_if_closed(STDOUT_FILENO, O_RDONLY);
    open_if_closed(STDERR_FILENO, O_WRONLY);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
}

ProcessSignals::~ProcessSignals() {
    if (!thread_.joinable()) return;
    // If a signal came first, the thread ends the process.
    const uint64_t one = 1;
    const ssize_t written = ::write(finish_descriptor_, &one, sizeof one);
    VILA_ASSERT(written == sizeof one);
    thread_.join();
    ::close(finish_descriptor_);
    ::close(signal_descriptor_);
}

void ProcessSignals::clean_up_on_stop() {
    sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        if (!is_ignored(signal)) sigaddset(&signals_, signal);
    signal_descriptor_ = ::signalfd(-1, &signals_, SFD_CLOEXEC);
    finish_descriptor_ = ::eventfd(0, EFD_CLOEXEC);
    VILA_CHECK(signal_descriptor_ >= 0 && finish_descriptor_ >= 0,
               "cannot wait for signals: too many open files?");
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this] { wait(); });
}

void ProcessSignals::wait() {
    pollfd ready[2] = {{.fd = signal_descriptor_, .events = POLLIN, .revents = 0},
                       {.fd = finish_descriptor_, .events = POLLIN, .revents = 0}};
    while (::poll(ready, 2, -1) < 0) {
    }
    signalfd_siginfo info = {};
    if (ready[0].revents == 0) return;
    if (::read(signal_descriptor_, &info, sizeof info) != sizeof info) return;
    stopping_ = true;
    remove_own_temporaries();
    const int signal = static_cast<int>(info.ssi_signo);
    std::signal(signal, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
    ::kill(::getpid(), signal);
}

void ProcessSignals::wait_if_stopping() const {
    while (stopping_) ::pause();
}

void ProcessSignals::end_for_closed_pipe() const {
    if (ignored_pipe_) return;
    std::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
}

void ProcessSignals::restore_in_child() {
    std::signal(SIGPIPE, SIG_DFL);
    std::signal(SIGXFSZ, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace vila::tools
