#include "tools/base/subprocess.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tensor/check.h"
#include "tools/base/process_signals.h"

namespace vila::tools {

namespace {

constexpr int kNotFound = 127;

// Replaces this process with the program; `output` becomes its stdout.
[[noreturn]] void exec_program(std::vector<char*>& arguments, int output) {
    ProcessSignals::restore_in_child();
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::execvp(arguments[0], arguments.data());
    std::_Exit(errno == ENOENT ? kNotFound : 126);
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& words) {
    VILA_ASSERT(!words.empty());
    std::vector<std::string> copies = words;
    std::vector<char*> arguments;
    for (std::string& word : copies) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int ends[2];
    VILA_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "cannot make a pipe to ", words[0]);
    const pid_t child = ::fork();
    VILA_CHECK(child >= 0, "cannot start ", words[0]);
    if (child == 0) exec_program(arguments, ends[1]);
    ::close(ends[1]);
    ProcessResult result;
    int read_error = 0;
    char buffer[4096];
    for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) != 0;) {
        if (got < 0 && errno != EINTR) {
            read_error = errno;
            break;
        }
        if (got > 0) result.output.append(buffer, static_cast<size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    VILA_CHECK(read_error == 0, "cannot read what ", words[0],
               " writes: ", std::strerror(read_error));
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    result.found = result.exit_code != kNotFound;
    return result;
}

}  // namespace vila::tools
