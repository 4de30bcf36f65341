#include "dist/mpirun_guard.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include "tensor/check.h"
#include "tensor/env.h"

namespace vila::dist {

namespace {

// Returns whether the parent process is Open MPI's mpirun or its daemon.
bool started_by_mpirun() {
    std::string name;
    std::ifstream("/proc/" + std::to_string(::getppid()) + "/comm") >> name;
    for (const char* start : {"mpirun", "mpiexec", "orte", "prte"})
        if (name.starts_with(start)) return true;
    return false;
}

// Returns whether this process is a rank of a job of mpirun. MPI sets the size also in a program
// that was started alone, and programs that this one starts inherit it, so for a single rank the
// parent decides. A rank of several may have a script as its parent.
bool is_rank_of_mpirun() {
    const int64_t ranks = environment_int("OMPI_COMM_WORLD_SIZE");
    return ranks > 1 || (ranks == 1 && started_by_mpirun());
}

// Ends this process as the child ended, so that mpirun reports the same.
[[noreturn]] void end_like(int status) {
    if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
    const int signal = WTERMSIG(status);
    const rlimit no_core = {0, 0};  // the child has dumped its own
    ::setrlimit(RLIMIT_CORE, &no_core);
    std::signal(signal, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal);
    ::raise(signal);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
    ::_exit(128 + signal);
}

[[noreturn]] void guard(pid_t child, const sigset_t& signals) {
    while (true) {
        const int signal = ::sigwaitinfo(&signals, nullptr);
        if (signal > 0 && signal != SIGCHLD) ::kill(child, signal);
        int status = 0;
        if (::waitpid(child, &status, WNOHANG) == child) end_like(status);
    }
}

}  // namespace

bool continue_under_guard() {
    if (!is_rank_of_mpirun()) return false;
    sigset_t signals, before;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, &before);
    const pid_t parent = ::getppid(), self = ::getpid();
    const pid_t child = ::fork();
    VILA_CHECK(child >= 0, "cannot start the process of a rank");
    if (child > 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::raise(SIGKILL);
        guard(child, signals);
    }
    if (::getppid() != self) ::raise(SIGKILL);
    ::setsid();
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return true;
}

}  // namespace vila::dist
