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

// The ends of a pipe; a program that is started does not inherit them.
class Pipe {
  public:
    explicit Pipe(const std::string& program) {
        VILA_CHECK(::pipe2(ends_, O_CLOEXEC) == 0, "cannot make a pipe to ", program, ": ",
                   std::strerror(errno));
    }
    ~Pipe() {
        close_writer();
        ::close(ends_[0]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    int writer() const { return ends_[1]; }
    void close_writer() {
        if (ends_[1] >= 0) ::close(ends_[1]);
        ends_[1] = -1;
    }
    // Appends everything until all writers have closed. Returns 0, or the error of a read.
    int read_all(std::string& text) const {
        char buffer[4096];
        for (ssize_t got; (got = ::read(ends_[0], buffer, sizeof buffer)) != 0;) {
            if (got < 0 && errno != EINTR) return errno;
            if (got > 0) text.append(buffer, static_cast<size_t>(got));
        }
        return 0;
    }

  private:
    int ends_[2];
};

// Replaces this process with the program; `output` becomes its stdout. If that fails, writes errno
// to `failure`, which the program does not inherit.
[[noreturn]] void exec_program(std::vector<char*>& arguments, int output, int failure) {
    ProcessSignals::restore_in_child();
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::execvp(arguments[0], arguments.data());
    const int code = errno;
    [[maybe_unused]] const ssize_t written = ::write(failure, &code, sizeof code);
    std::_Exit(127);
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& words) {
    VILA_ASSERT(!words.empty());
    std::vector<std::string> copies = words;
    std::vector<char*> arguments;
    for (std::string& word : copies) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    Pipe output(words[0]), failure(words[0]);
    const pid_t child = ::fork();
    VILA_CHECK(child >= 0, "cannot start ", words[0], ": ", std::strerror(errno));
    if (child == 0) exec_program(arguments, output.writer(), failure.writer());
    output.close_writer();
    failure.close_writer();
    ProcessResult result;
    std::string failed;  // empty if the program was started
    int read_error = failure.read_all(failed);
    if (read_error == 0) read_error = output.read_all(result.output);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    VILA_CHECK(read_error == 0, "cannot read what ", words[0],
               " writes: ", std::strerror(read_error));
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    int code = 0;
    if (failed.size() == sizeof code) std::memcpy(&code, failed.data(), sizeof code);
    VILA_CHECK(code == 0 || code == ENOENT, "cannot start ", words[0], ": ", std::strerror(code));
    result.found = code == 0;
    return result;
}

}  // namespace vila::tools
