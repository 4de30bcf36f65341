#include "tools/base/text_input.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensor/file.h"
#include "tools/base/output.h"

namespace vila::tools {

namespace fs = std::filesystem;

namespace {

constexpr size_t kBlock = 1 << 16;              // bytes asked of the system at once
constexpr size_t kMaxText = size_t{256} << 20;  // bytes of a line, or of a file read whole

[[noreturn]] void fail(const std::string& name, const char* what) {
    const int code = errno;
    throw FileError(str(name, ": ", what, ": ", std::strerror(code)), code);
}

constexpr int kWriterWait = 2000;  // milliseconds for the first writer of a named pipe to come
constexpr int kWriterCheck = 20;   // milliseconds between two looks

bool is_named_pipe(int descriptor) {
    struct stat status = {};
    struct statfs system = {};
    return ::fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode) &&
           ::fstatfs(descriptor, &system) == 0 && system.f_type != PIPEFS_MAGIC;
}

// Returns whether the descriptor is a device such as /dev/zero. Terminals and /dev/null end.
bool is_endless(int descriptor) {
    struct stat status = {};
    return ::fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) && !::isatty(descriptor) &&
           status.st_rdev != makedev(1, 3);
}

}  // namespace

std::string input_name(const fs::path& argument) {
    return is_standard_stream(argument) ? "standard input" : argument.string();
}

LineReader::LineReader(const fs::path& argument) : name_(input_name(argument)) {
    if (is_standard_stream(argument)) {
        descriptor_ = STDIN_FILENO;
        is_own_ = false;
        return;
    }
    do {
        descriptor_ = ::open(argument.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } while (descriptor_ < 0 && errno == EINTR);
    if (descriptor_ < 0) fail(name_, "cannot be opened");
    if (is_endless(descriptor_)) {
        ::close(descriptor_);
        throw Error(str(name_, ": a device; expected a file"));
    }
    if (is_named_pipe(descriptor_)) wait_for_writer();
    ::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) & ~O_NONBLOCK);
}

// Waits until a program has opened the named pipe for writing: before that, a read reports the end
// of the text. Opening the pipe in blocking mode could wait forever.
void LineReader::wait_for_writer() {
    char byte = 0;
    for (int waited = 0; waited < kWriterWait; waited += kWriterCheck) {
        const ssize_t got = ::read(descriptor_, &byte, 1);
        if (got > 0) buffer_ += byte;
        if (got != 0) return;  // text, or an error: a writer that has not written yet
        pollfd ready = {.fd = descriptor_, .events = POLLIN, .revents = 0};
        if (::poll(&ready, 1, kWriterCheck) > 0) return;  // or a writer that has left
    }
    ::close(descriptor_);
    throw Error(str(name_, ": a pipe into which no program writes; expected a file"));
}

LineReader::~LineReader() {
    if (is_own_) ::close(descriptor_);
}

std::string LineReader::where() const {
    return str(name_, " line ", number_);
}

// Appends a block to the buffer. Returns false at the end of the file.
bool LineReader::fill() {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
    const size_t before = buffer_.size();
    buffer_.resize(before + kBlock);
    ssize_t got = 0;
    do {
        got = ::read(descriptor_, buffer_.data() + before, kBlock);
    } while (got < 0 && errno == EINTR);
    buffer_.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
    if (got < 0) fail(name_, "cannot read");
    return got > 0;
}

bool LineReader::next(std::string& line) {
    while (true) {
        const size_t end = buffer_.find('\n', scanned_);
        if (end != std::string::npos) {
            line.assign(buffer_, begin_, end - begin_);
            begin_ = scanned_ = end + 1;
            ++number_;
            return true;
        }
        scanned_ = buffer_.size();
        VILA_CHECK(at_end_ || buffer_.size() - begin_ < kMaxText, name_, " line ", number_ + 1,
                   ": longer than ", kMaxText, " bytes; is this a text file?");
        if (!at_end_ && fill()) continue;
        at_end_ = true;
        if (begin_ == buffer_.size()) return false;
        line.assign(buffer_, begin_);
        begin_ = scanned_ = buffer_.size();
        ++number_;
        return true;
    }
}

std::string LineReader::rest() {
    while (!at_end_ && fill())
        VILA_CHECK(buffer_.size() <= kMaxText, name_, ": expected at most ", kMaxText,
                   " bytes of text, got more; is this the right file?");
    at_end_ = true;
    const std::string text = buffer_.substr(begin_);
    begin_ = scanned_ = buffer_.size();
    return text;
}

int64_t count_lines(const fs::path& argument) {
    std::error_code error;
    if (is_standard_stream(argument) || !fs::is_regular_file(argument, error)) return -1;
    LineReader lines(argument);
    int64_t count = 0;
    for (std::string line; lines.next(line);)
        if (line.find_first_not_of(" \t\r") != std::string::npos) ++count;
    return count;
}

std::string read_text(const fs::path& argument) {
    return LineReader(argument).rest();
}

}  // namespace vila::tools
