#include "tools/train/stop_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <future>
#include <iterator>
#include <memory>

#include "tensor/file.h"
#include "tensor/temporary_name.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

// How often the waiting thread checks whether to end.
constexpr timespec kPollInterval = {.tv_sec = 0, .tv_nsec = 100'000'000};
// The waiting thread looks for a signal of another rank in every kPollsPerLook-th poll.
constexpr int kPollsPerLook = 5;
// After this time the program ends even if not all files are removed, because the disk may hang.
constexpr auto kRemovalTime = std::chrono::milliseconds(1500);

bool is_ignored(int signal) {
    struct sigaction action = {};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

[[noreturn]] void wait_for_the_end() {
    while (true) ::pause();
}

// Prints a line on stderr, unless that would wait for its reader.
void say_without_waiting(const std::string& line) {
    pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&writable, 1, 0) != 1) return;
    const bool on_terminal = ::isatty(STDERR_FILENO) == 1;  // where it replaces the progress line
    const std::string text = (on_terminal ? "\r\033[K" : "") + line + "\n";
    write_all(STDERR_FILENO, text.data(), std::ssize(text));
}

// Removes the files that are being written, and returns when they are gone or kRemovalTime is over.
void remove_files_in_time() {
    auto removed = std::make_shared<std::promise<void>>();
    std::thread([removed] {
        remove_own_temporaries();
        removed->set_value();
    }).detach();
    removed->get_future().wait_for(kRemovalTime);
}

}  // namespace

StopSignals::StopSignals(bool dies_with_parent)
    : dies_with_parent_(dies_with_parent), parent_(::getppid()) {
    end_on_stop();
    sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals_, signal);
    if (!is_ignored(SIGHUP)) sigaddset(&signals_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    thread_ = std::thread([this] { wait(); });
}

StopSignals::~StopSignals() {
    finished_ = true;
    thread_.join();
    finish_action();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::share(fs::path file) {
    const std::lock_guard lock(mutex_);
    shared_ = std::move(file);
}

void StopSignals::on_stop(Action action) {
    {
        const std::lock_guard lock(mutex_);
        if (received_ == 0) {
            action_ = std::move(action);
            return;
        }
    }
    finish_action();
}

void StopSignals::end_on_stop() {
    on_stop([this](int signal) { end(exit_code(signal), ""); });
}

void StopSignals::finish_action() {
    std::thread thread;
    {
        const std::lock_guard lock(mutex_);
        thread = std::move(action_thread_);
    }
    if (thread.joinable()) thread.join();
}

void StopSignals::wait_if_ending() const {
    if (ending_) wait_for_the_end();
}

void StopSignals::end(int code, const std::string& line) {
    if (ending_.exchange(true)) wait_for_the_end();
    remove_files_in_time();
    if (!line.empty()) say_without_waiting(line);
    ::_exit(code);
}

void StopSignals::wait() {
    // The request belongs to this thread, so only this thread can take it back: see begin().
    if (dies_with_parent_) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dies_with_parent_ && ::getppid() != parent_) ::raise(SIGKILL);
    for (int polls = 0; !finished_; ++polls) {
        siginfo_t info = {};
        const int signal = sigtimedwait(&signals_, &info, &kPollInterval);
        if (signal > 0)
            arrive(signal, info.si_code == SI_USER && info.si_pid == parent_);
        else if (received_ == 0 && polls % kPollsPerLook == 0)
            read_shared();
    }
}

void StopSignals::arrive(int signal, bool from_parent) {
    int& count = from_parent ? from_parent_ : from_others_;
    if (++count > 1) _exit(exit_code(signal));
    if (received_ != 0) return;
    begin(signal);
    write_shared(signal);
}

void StopSignals::begin(int signal) {
    if (dies_with_parent_) ::prctl(PR_SET_PDEATHSIG, 0);
    const std::lock_guard lock(mutex_);
    received_ = signal;
    if (action_) action_thread_ = std::thread([action = action_, signal] { action(signal); });
}

void StopSignals::read_shared() {
    fs::path file;
    {
        const std::lock_guard lock(mutex_);
        file = shared_;
    }
    if (file.empty()) return;
    // Opened anew each time: a network file system then looks for new data.
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    unsigned char signal = 0;
    const ssize_t got = ::read(descriptor, &signal, 1);
    ::close(descriptor);
    if (got == 1) begin(signal);
}

void StopSignals::write_shared(int signal) {
    fs::path file;
    {
        const std::lock_guard lock(mutex_);
        file = shared_;
    }
    if (file.empty()) return;
    const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (descriptor < 0) return;
    const char byte = static_cast<char>(signal);
    // If it cannot be written, each rank still has the signals that it receives itself.
    write_all(descriptor, &byte, 1);
    ::close(descriptor);
}

}  // namespace vila::tools
